# eDonkey and eMule - the hello between clients, whose user hash eMule marks in its sixth and fifteenth byte
# Pattern attributes: ok fast
edonkey
^\xe3.{1,3}[\x01\x4c]\x10?.{4,5}\x0e.{6,8}o
