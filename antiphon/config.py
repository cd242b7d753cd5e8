"""One frozen tree of settings. (being written)"""
