# FastTrack (Kazaa, Grokster, iMesh) - downloads by hash over HTTP, and push
# Pattern attributes: good fast subset
fasttrack
^(get|head) /\.hash=[0-9a-f]{8,}|^get /\.supernode |^give [0-9]{5,10}\x0d?\x0a|^(get|head|http/)[\x09-\x0d -~]*\x0d\x0ax-kazaa-(username|ip|supernodeip|network|xferid|xferuid|tag)
