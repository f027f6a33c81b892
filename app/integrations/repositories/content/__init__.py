"""What commits hold: objects, trees and files, read within limits. Start with `objects.py`."""
