#include "gateway/fuzz/parser_fuzz.h"

P2PXBONE_PARSER_FUZZ(ssh)
