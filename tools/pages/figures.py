"Figures: files beside the pages, each with a text alternative"
import base64, html, re
from xml.etree import ElementTree
from .project import directives, text_of

# ---- what a figure of matplotlib says in words

def children(group, kind):
    "Groups directly in `group` whose id is `kind`, with or without a number"
    return [c for c in group if re.match(rf'{kind}_?\d*$', c.get('id') or '')]

def words_of(group)->str:
    "The text of a matplotlib group: it is drawn as curves, and stands in a comment, one for each line"
    texts = [c.text or '' for c in group.iter() if c.tag is ElementTree.Comment or str(c.tag).endswith('}text')]
    return html.unescape(' '.join(' '.join(texts).split()))

def has_word(text): return re.search(r'[^\W\d_]{2}', text)

def axis_words(ax, number)->tuple:
    "Label of an axis, and the words along it; numbers are left out"
    label,words = '',[]
    for o in children(ax, rf'matplotlib\.axis_{number}'):
        label = next((words_of(t) for t in reversed(children(o, 'text'))), '')
        ticks = [words_of(t) for tick in children(o, '[xy]tick') for t in children(tick, 'text')]
        words += [t for t in ticks if has_word(t)]
    return label,words

def axes_text(ax)->str:
    "Words of one pair of axes: title, what stands against what, names in the picture"
    texts = [o for t in children(ax, 'text') if (o := words_of(t))]
    legend = [t for g in children(ax, 'legend') for t in g.iter() if re.match(r'text_\d+$', t.get('id') or '')]
    (x,along),(y,up) = axis_words(ax, 1),axis_words(ax, 2)
    against = [f'{y} against {x}'] if x and y else [o for o in (x, y) if o]
    named = [*along, *up, *texts[:-1], *(words_of(t) for t in legend)]
    named = [o for o in dict.fromkeys(named) if re.search(r'\w', o)]
    res = '. '.join(o.rstrip('.') for o in texts[-1:]+against)
    return f"{res}: {', '.join(named)}" if named else res

def figure_text(svg)->str:
    "What a matplotlib figure says in words, '' if it has none: titles, axes, names of lines; images are counted"
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    fig = next((o for o in ElementTree.fromstring(svg, parser).iter() if o.get('id')=='figure_1'), None)
    if fig is None: return ''
    axes = children(fig, 'axes')
    texts = [words_of(t) for t in children(fig, 'text')] + [axes_text(ax) for ax in axes]
    res = '; '.join(dict.fromkeys(o for o in texts if o))
    drawn = any(children(ax, r'(line2d|patch_5)') or axis_words(ax, 1)[0] for ax in axes)
    return res if drawn or not res else f'{counted(len(axes))}: {res}'

# ---- the text alternative

def counted(n): return '1 image' if n==1 else f'{n} images'
def shortened(text, longest=400): return text if len(text)<=longest else text[:longest].rsplit(' ', 1)[0] + ' …'
def plain(md)->str: return re.sub(r'[`*]', '', re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', md)).strip()

def drawing_text(source, data, heading)->str:
    "What is to be seen, from the line of code that draws it"
    n_axes = re.search(r'(\d+) Axes', data.get('text/plain', ''))
    n = int(n_axes[1]) if n_axes else 1
    code = [o for o in source.splitlines() if re.search(r'\b(show|plot)\w*\(', o)]
    if not code: return f'{heading}, {counted(n)}'
    title = re.search(r"'([^']*\s[^']*\s[^']*)'", code[-1]) # of `show_lines` and its like
    if title: return f'{heading}, {title[1]}'
    call = re.search(r'(?<![\w.)])(?:\w[\w.]*\.)?(?:show|plot)\w*\(.*\)', code[-1])
    return f'{heading}, {counted(n)} of {call[0]}' if call else f'{heading}, {counted(n)}'

def text_alternative(data, cell, heading)->str:
    "Text for a figure: what the cell says in `#| fig-alt`, else what is written in it, else what draws it"
    source = text_of(cell['source'])
    if (given := directives(source).get('fig-alt')): return given.strip('"\'')
    words = figure_text(data['image/svg+xml']) if 'image/svg+xml' in data else ''
    if words: return shortened(words if len(words)>40 else f'{heading}, {words}')
    return shortened(drawing_text(source, data, heading))

# ---- files

kinds = {'image/svg+xml':'svg', 'image/png':'png', 'image/jpeg':'jpg'} # with their endings

def heading_of(cell):
    "The words of a cell's heading, None if it has none"
    m = re.match(r'#+ (.+)', text_of(cell['source'])) if cell['cell_type']=='markdown' else None
    return plain(m[1]) if m else None

def take_figures(nb, page)->dict:
    "Figures of the outputs of `nb` in files, path in the site to bytes; of several kinds the first of `kinds`"
    files,heading = {},page
    for c in nb['cells']:
        heading = heading_of(c) or heading
        for o in c.get('outputs', []):
            data = {k:text_of(v) for k,v in o.get('data', {}).items()}
            kind = next((k for k in kinds if k in data), None)
            if kind is None or 'text/html' in data: continue
            file = f"figures/{page.replace('/', '-')}-{len(files)+1}.{kinds[kind]}"
            files[file] = data[kind].encode() if kind=='image/svg+xml' else base64.b64decode(data[kind])
            address,alt = '../'*page.count('/')+file,html.escape(text_alternative(data, c, heading))
            o['data'] = {'text/html':f'<img src="{address}" class="img-fluid" alt="{alt}" loading="lazy">'}
    return files
