"README from nbs/index.ipynb: `python tools/docs.py readme`. Needs no program beyond the dev requirements."
import argparse, re, sys
from pathlib import Path
from fastcore.nbio import read_nb

root = Path(__file__).resolve().parent.parent

def _directives(src): return {m[1]:m[2] for m in re.finditer(r'^#\|\s*(\w+):?\s*(.*)$', src, re.M)}

def _output(o):
    "Markdown of one saved output; HTML without the styles that a plain page cannot use"
    if o['output_type']=='stream': return '```\n' + ''.join(o['text']).rstrip() + '\n```'
    data = {k: ''.join(v) if isinstance(v, list) else v for k,v in o.get('data', {}).items()}
    if 'text/markdown' in data: return data['text/markdown']
    if 'text/html' in data: return re.sub(r'<style.*?</style>', '', data['text/html'], flags=re.S).strip()
    return '```\n' + data['text/plain'] + '\n```' if 'text/plain' in data else ''

def readme()->str:
    "The text of README.md"
    res = ['<!-- Made from nbs/index.ipynb by `python tools/docs.py readme`: edit the notebook -->']
    for c in read_nb(root/'nbs'/'index.ipynb').cells:
        src,d = c.source,_directives(c.source)
        if 'hide' in d: continue
        if c.cell_type=='markdown': res.append(re.sub(r'\]\((?!http|#)', '](nbs/', src)); continue # links are relative to the notebook
        code = '\n'.join(o for o in src.splitlines() if not o.startswith('#|')).strip()
        if d.get('echo')!='false' and code: res.append(f'```python\n{code}\n```')
        if d.get('output')!='false': res += [t for o in c.get('outputs', []) if (t:=_output(o))]
    return '\n\n'.join(res) + '\n'

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('what', choices=['readme'])
    p.parse_args()
    (root/'README.md').write_text(readme(), encoding='utf-8')
    print(root/'README.md')

if __name__=='__main__': main()
