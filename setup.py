"Passes to setuptools the fields that pyproject.toml declares dynamic: dependencies from settings.ini, the version from __init__.py"
import configparser, re
from pathlib import Path
from setuptools import setup

root = Path(__file__).parent
cfg = configparser.ConfigParser(delimiters=['='])
cfg.read(root/'settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']
version = re.search(r'^__version__\s*=\s*[\'"]([^\'"]+)', (root/'fastai_tricks/__init__.py').read_text(encoding='utf-8'), re.M)[1]

setup(version=version, python_requires=f">={cfg['min_python']}", install_requires=cfg['requirements'].split(),
      extras_require={o.removesuffix('_requirements'):v.split() for o,v in cfg.items() if o.endswith('_requirements')})
