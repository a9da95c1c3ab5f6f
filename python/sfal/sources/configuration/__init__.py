"""What the files of an SAE say about it: its layout, where it reads, how it was trained."""
