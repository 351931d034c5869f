"""What a run keeps on disk, so that nothing made is lost and an interrupted run goes on."""
