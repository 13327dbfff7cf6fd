r"""Open the raw JSON of an event as variants: parsed once, as strictly as ``tandem.events`` says, without UDFs.

Every function returns a Spark SQL expression as text, over columns that it is given by name. ``from_json`` alone would
not do: it takes NaN, single quotes and text after the object, and the last of two equal names.
"""

from __future__ import annotations

from collections.abc import Iterable

END = "__end__"
"""Name of the field that ``closed`` adds."""

_STRICT = "map('allowNonNumericNumbers', 'false', 'allowSingleQuotes', 'false')"


def closed(text: str) -> str:
    """``text`` with its last brace replaced by one more field, END, that holds the sum of the text, and the brace.

    Spark's parser stops after the first value and does not look at what follows. Where the object does not end with
    the last brace, END is missing, and no text can contain its own sum.
    """
    # Trimming looks at every character, and hardly any text needs it.
    trimmed = f"CASE WHEN endswith({text}, '}}') THEN {text} ELSE trim(TRAILING ' \\t\\r\\n' FROM {text}) END"
    # An object with a field has a colon; where one without has it, it is in what follows the object.
    comma = f"CASE WHEN contains({text}, ':') THEN ',' ELSE '' END"
    return f"""CASE WHEN endswith({trimmed}, '}}') THEN concat(
        left({trimmed}, length({trimmed}) - 1), {comma}, '"{END}":"', md5({text}), '"}}') END"""


def opened(parsed: str, names: Iterable[str]) -> str:
    """A variant as a struct with one variant per name, NULL where it is not an object."""
    fields = ", ".join(f"{name}: variant" for name in names)
    return f"try_variant_get({parsed}, '$', 'struct<{fields}>')"


def whole(payload: str, text: str) -> str:
    """``payload``, opened with END among its names, or NULL where it does not reach to the end of ``text``."""
    return f"CASE WHEN try_variant_get({payload}.{END}, '$', 'string') = md5({text}) THEN {payload} END"


def well_formed(text: str) -> str:
    """``text``, or NULL where an escape is half a surrogate pair, which Spark would turn into a question mark."""
    half = r"(?i)\\ud[89a-f]"
    without_backslashes = rf"regexp_replace({text}, r'\\\\', '')"
    without_pairs = rf"regexp_replace({without_backslashes}, r'(?i)\\ud[89ab][0-9a-f]{{2}}\\ud[c-f][0-9a-f]{{2}}', '')"
    return f"""CASE WHEN contains({text}, r'\\u') THEN CASE WHEN NOT {without_pairs} RLIKE r'{half}' THEN {text} END
        ELSE {text} END"""


def first_of_each(text: str, text_closed: str, names: Iterable[str], item_names: Iterable[str]) -> str:
    """The object anew, with the first of each name only; NULL where it is not JSON even so.

    For the rare payload in which a name stands twice, which the variant parser refuses. ``get_json_object`` finds the
    first of two, but skips a null; a map keeps both and finds the first, but forgets what was a text. Together they
    tell.
    """
    end = f"from_json({text_closed}, 'struct<{END}: string>', {_STRICT}).{END}"
    # Behind a wildcard get_json_object gives a text with its quotes.
    boxed = f"concat('[', {text}, ']')"
    scalars = _fields([name for name in names if name != "items"], "own", boxed, "'$[*].'")
    fields = f"""array_append({scalars}, concat('"items":', {_first_items(boxed, item_names)}))"""
    return f"CASE WHEN {end} = md5({text}) THEN {_with_map(text, 'own', fields)} END"


def digits(text: str, path: str, longest: int) -> str:
    """The digits of a JSON integer too long for a variant to keep, found again by ``path``; '' for anything else."""
    return rf"regexp_extract(get_json_object({text}, {path}), r'^(?=.{{1,{longest}}}\z)-?[0-9]+\z', 0)"


def _with_map(text: str, name: str, fields: str) -> str:
    """An object of ``fields``, which may use ``text`` as a map called ``name``; NULL among them is left out."""
    parsed = f"array(from_json({text}, 'map<string, string>', {_STRICT}))"
    return f"element_at(transform({parsed}, {name} -> concat('{{', array_join({fields}, ','), '}}')), 1)"


def _fields(names: Iterable[str], present: str, boxed: str, path: str) -> str:
    """Texts like ``"name":value``, NULL where the map ``present`` has none or null first."""
    listed = ", ".join(f"'{name}'" for name in names)
    return f"""transform(array({listed}), n -> CASE WHEN {present}[n] IS NOT NULL THEN
        concat('"', n, '":', get_json_object({boxed}, concat({path}, n))) END)"""


def _first_items(boxed: str, item_names: Iterable[str]) -> str:
    element = f"get_json_object({boxed}, concat('$[*].items[', i, ']'))"
    fields = _fields(item_names, "item", boxed, "'$[*].items[', i, '].'")
    count = "json_array_length(own['items'])"
    return f"""CASE WHEN own['items'] IS NOT NULL AND startswith(get_json_object({boxed}, '$[*].items'), '[') THEN
        concat('[', array_join(transform(
            CASE WHEN {count} > 0 THEN sequence(0, {count} - 1) ELSE array() END,
            i -> CASE WHEN startswith({element}, '{{') THEN {_with_map(element, "item", fields)} ELSE 'null' END
        ), ','), ']') END"""
