"""Where sessions run: in this process, in processes on several devices, or in a Ray cluster."""
