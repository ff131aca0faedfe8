# OpenFT (giFT) - transfers over HTTP
# Pattern attributes: good fast subset
openft
^(get|head|http/)[\x09-\x0d -~]*\x0d\x0ax-openftalias:
