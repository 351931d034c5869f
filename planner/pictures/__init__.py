"""Plans and traces to look at: pictures for print, a report for the browser, summaries for notebooks."""
