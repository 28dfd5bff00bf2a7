from ..moved import find_in
__getattr__ = find_in('data')
