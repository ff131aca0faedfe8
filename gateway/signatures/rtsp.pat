# RTSP - control of streams
# Pattern attributes: great fast
rtsp
^(options|describe|setup|play|announce|record|get_parameter) (rtsp[su]?://[!-~]+|\*) rtsp/[12]\.0\x0d?\x0a|^rtsp/[12]\.0 [1-5][0-9][0-9]
