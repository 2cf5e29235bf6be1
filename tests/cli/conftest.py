def contents(folder):
    """Every path under a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
