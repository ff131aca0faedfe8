# VNC - remote frame buffer
# Pattern attributes: great fast
vnc
^rfb 00[0-9]\.00[0-9]\x0a
