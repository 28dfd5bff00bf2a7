"""Notebooks without what differs at each run:
`python tools/clean.py` does what `nbdev-clean` does, and takes warnings out.

A warning that is saved names folders of the machine, and says nothing to readers."""
import json, subprocess, sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent

def is_warning(output): return output.get('name')=='stderr'

def without_warnings(nb)->bool: # Was there one?
    "Take what was written to stderr out of the outputs of a notebook"
    found = False
    for c in nb['cells']:
        outputs = c.get('outputs', [])
        if not any(map(is_warning, outputs)): continue
        c['outputs'] = [o for o in outputs if not is_warning(o)]
        found = True
    return found

def clean(folder=root/'nbs'):
    "Clean all notebooks in `folder`"
    for p in sorted(folder.rglob('*.ipynb')):
        nb = json.loads(p.read_text(encoding='utf-8'))
        if without_warnings(nb): p.write_text(json.dumps(nb, indent=1, ensure_ascii=False)+'\n', encoding='utf-8')
    subprocess.run(['nbdev-clean', '--fname', str(folder)], cwd=root, check=True)

if __name__=='__main__': sys.exit(clean())
