"""How fast is Antiphon, as a share of what a plain reverse proxy does on the same machine?"""
