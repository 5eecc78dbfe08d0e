"""Writers of annotated scans, each the counterpart of a reader that gives the same records back."""
