"The site and the README, made from the notebooks; `python tools/docs.py` is the way in"
