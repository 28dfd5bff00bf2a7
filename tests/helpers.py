"What several test files need"

def image_folder(folder, n):
    "Write the first `n` tiny images into `folder`/0 and `folder`/1, by even and odd class; returns `folder`"
    from fastai_tricks.data import samples# it takes seconds
    return samples.image_folder(folder, n, ('0','1'))
