"""What leaves a run: video files and frames."""
