"""What happens, in order: one verb a file, one public function a file. Start with `intake/receive.py`."""
