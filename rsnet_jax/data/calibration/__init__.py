"""One check for every data set: do the 2D points lie where the 3D poses project?

`check.py` tells the story; `joints.py` finds joints in another order, `pairing.py` points that
belong to another camera, clip or time, `wording.py` says it in sentences.
"""
