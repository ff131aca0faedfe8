# HTTP - requests and answers of versions 0.9 to 1.1, and the preface of version 2 in the clear
# Pattern attributes: good fast superset
http
^[\x0d\x0a]*(get|post|head|put|delete|options|connect|trace|patch|propfind|proppatch|mkcol|copy|move|lock|unlock|report) +[!-~\x80-\xff]+ +http/[01]\.[0-9] *\x0d?\x0a|^[\x0d\x0a]*get +(/|http://)[!-~\x80-\xff]* *\x0d?\x0a|^http/[01]\.[0-9] [1-5][0-9][0-9]|^pri \* http/2\.0\x0d\x0a\x0d\x0asm\x0d\x0a
