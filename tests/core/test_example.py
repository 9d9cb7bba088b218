"""Example documents: valid for two validators, the same for the same seed, and of all that a schema can say."""

import re
import sys
from functools import cache
from pathlib import Path
from random import Random

import pytest
import xmlschema
from lxml import etree

from iec62746._example_pattern import Unsupported, matching
from iec62746.errors import InvalidSchema, NoExample
from iec62746.example import Examples

SCHEMAS = Path(__file__).parents[1] / "cli" / "schemas"
SEEDS = range(200)
HEAD = '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:t" targetNamespace="urn:t">'


@cache
def documents(schema: Path) -> list[bytes]:
    examples = Examples(schema)
    return [examples.make(seed=seed) for seed in SEEDS]


def schema_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "T.xsd"
    path.write_text(f"{HEAD}{text}</xs:schema>", "utf-8")
    return path


def demand_valid(schema: Path, made: list[bytes]) -> None:
    """Ask libxml2 and xmlschema, neither of which is told what made them."""
    libxml2, other = etree.XMLSchema(file=str(schema)), xmlschema.XMLSchema(str(schema))
    for xml in made:
        libxml2.assertValid(etree.fromstring(xml))
    # It is slow, and has seen each when it was made.
    for xml in made[::10]:
        other.validate(xml.decode())


@pytest.mark.parametrize("name", ["dlms-cim/EndDeviceControls.xsd", "es-cim/MaintenanceOrders.xsd"])
def test_200_seeds_are_valid_under_the_reference_schemas(oracle: Path, name: str) -> None:
    schema = oracle / "xsd" / name

    demand_valid(schema, documents(schema))
    assert len(set(documents(schema))) == len(SEEDS)


@pytest.mark.parametrize("name", ["Features.xsd", "works/Works.xsd"])
def test_200_seeds_are_valid_under_our_own_schemas(name: str) -> None:
    demand_valid(SCHEMAS / name, documents(SCHEMAS / name))


@pytest.mark.parametrize("name", ["dlms-cim/EndDeviceControls.xsd", "es-cim/MaintenanceOrders.xsd"])
def test_every_element_of_the_reference_schemas_is_shown(oracle: Path, name: str) -> None:
    schema = oracle / "xsd" / name
    examples = Examples(schema)

    named = {one.name for root in examples.roots for one in examples.tree(root, 8)}

    assert named <= names(documents(schema))


def test_everything_that_a_schema_says_is_shown() -> None:
    made = documents(SCHEMAS / "Features.xsd")
    text = b"".join(made).decode()

    declared = set(re.findall(r'<xs:element name="(\w+)"', (SCHEMAS / "Features.xsd").read_text()))
    assert declared <= names(made)
    for kind in ("Text", "Number", "Moment", "Octets", "Patterned"):
        assert f'xsi:type="{kind}"' in text
    for said in (
        'xsi:nil="true"',
        'colour="red"',
        "blue &amp; green",
        'version="1.0"',
        "sizes=",
        "urn:example:extension",
    ):
        assert said in text


def test_a_substitute_stands_for_an_abstract_element() -> None:
    made = documents(SCHEMAS / "works" / "Works.xsd")

    assert {"person", "company"} <= names(made)
    assert "author" not in names(made)


def test_recursion_ends() -> None:
    depths = [
        max(depth(one) for one in etree.fromstring(xml).iter("*")) for xml in documents(SCHEMAS / "works/Works.xsd")
    ]

    assert min(depths) < 4 < max(depths) < 20


def names(made: list[bytes]) -> set[str]:
    return {etree.QName(one).localname for xml in made for one in etree.fromstring(xml).iter("*")}


def depth(element: etree._Element) -> int:
    return sum(1 for _ in element.iterancestors())


def test_a_seed_says_which_document(oracle: Path) -> None:
    schema = oracle / "xsd" / "dlms-cim" / "EndDeviceControls.xsd"

    assert documents(schema)[7] == Examples(schema).make(seed=7)
    assert documents(schema)[7] != documents(schema)[8]


def test_a_minimal_document_has_only_what_must_be_there() -> None:
    schema = SCHEMAS / "works" / "Works.xsd"

    made = Examples(schema).make(is_minimal=True)

    demand_valid(schema, [made])
    assert [etree.QName(one).localname for one in etree.fromstring(made).iter("*") if not depth(one) > 1][2:] == [
        "part"
    ]
    assert b"note" not in made


def test_another_root_can_be_chosen(tmp_path: Path) -> None:
    schema = schema_of(tmp_path, '<xs:element name="A" type="xs:int"/><xs:element name="B" type="xs:boolean"/>')

    made = Examples(schema).make("B")

    demand_valid(schema, [made])
    assert etree.fromstring(made).tag == "{urn:t}B"


def test_a_schema_without_a_namespace_has_examples(tmp_path: Path) -> None:
    schema = tmp_path / "T.xsd"
    schema.write_text(
        HEAD.replace(' targetNamespace="urn:t"', "").replace(' xmlns="urn:t"', "")
        + """
        <xs:element name="A"><xs:complexType><xs:sequence><xs:element name="b" type="xs:int"/></xs:sequence>
        </xs:complexType></xs:element></xs:schema>"""
    )

    made = Examples(schema).make()

    demand_valid(schema, [made])
    assert ["A", "b"] == [one.tag for one in etree.fromstring(made).iter()]


def test_a_root_that_is_not_there_is_said(tmp_path: Path) -> None:
    schema = schema_of(tmp_path, '<xs:element name="A" type="xs:int"/><xs:element name="B" type="xs:boolean"/>')

    with pytest.raises(NoExample, match="has no root element 'C': its root elements are A, B"):
        Examples(schema).make("C")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '<xs:element name="A" type="R"/><xs:complexType name="R"><xs:sequence>'
            '<xs:element name="r" type="R"/></xs:sequence></xs:complexType>',
            "it needs itself, without end",
        ),
        (
            '<xs:element name="A" type="T"/><xs:simpleType name="T"><xs:restriction base="xs:string">'
            '<xs:pattern value="[a-c]{2}"/><xs:minLength value="5"/></xs:restriction></xs:simpleType>',
            "no value was found that the type T takes",
        ),
        (
            '<xs:element name="A" type="T"/><xs:simpleType name="T"><xs:restriction base="xs:string">'
            r'<xs:pattern value="\p{IsThai}"/></xs:restriction></xs:simpleType>',
            "IsThai",
        ),
        ('<xs:element name="A" type="xs:ENTITY"/>', "no value was found|not made|ENTITY"),
        ('<xs:element name="A" type="xs:IDREF"/>', "an IDREF has no ID to refer to"),
        (
            '<xs:element name="A"><xs:complexType><xs:sequence><xs:element ref="B"/></xs:sequence></xs:complexType>'
            '</xs:element><xs:element name="B" abstract="true"/>',
            "without end|abstract",
        ),
    ],
)
def test_what_has_no_example_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(NoExample, match=said):
        Examples(schema_of(tmp_path, text)).make()


def test_keys_differ_and_are_referred_to(tmp_path: Path) -> None:
    schema = schema_of(
        tmp_path,
        """<xs:element name="A"><xs:complexType><xs:sequence>
        <xs:element name="k" maxOccurs="unbounded"><xs:complexType>
          <xs:attribute name="id" use="required"><xs:simpleType><xs:restriction base="xs:int">
          <xs:minInclusive value="1"/><xs:maxInclusive value="4"/></xs:restriction></xs:simpleType></xs:attribute>
        </xs:complexType></xs:element>
        <xs:element name="r" type="xs:int" minOccurs="2" maxOccurs="2"/></xs:sequence></xs:complexType>
        <xs:key name="K"><xs:selector xpath="k"/><xs:field xpath="@id"/></xs:key>
        <xs:keyref name="R" refer="K"><xs:selector xpath="r"/><xs:field xpath="."/></xs:keyref></xs:element>""",
    )
    examples = Examples(schema)

    demand_valid(schema, [examples.make(seed=seed) for seed in range(50)])


def test_without_xmlschema_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xmlschema", None)

    with pytest.raises(NoExample, match=re.escape("need 'xmlschema': pip install 'iec62746[profiles]'")):
        Examples(SCHEMAS / "Features.xsd")


def test_a_type_that_is_not_there_is_said_with_file_and_line(tmp_path: Path) -> None:
    schema = schema_of(tmp_path, '\n<xs:element name="A"\n type="Nothing"/>')

    with pytest.raises(InvalidSchema, match=r"T\.xsd:[23]: .*Nothing") as caught:
        Examples(schema)

    assert caught.value.file == schema


# ---------------------------------------------------------------- patterns

PATTERNS = [
    "[A-Fa-f0-9]{8}(-[A-Fa-f0-9]{4}){3}-[A-Fa-f0-9]{12}",
    r"\d{4}-\d\d?",
    "a|b*|(cd)+",
    "",
    r"[^\d\s]+",
    r"[\w-[aeiou]]{3,}",
    r"\p{Lu}\P{L}",
    r"\i\c*",
    r"[\-+]?[0-9]+(\.[0-9]+)?",
    r"[a\]b\[]x[.]",
    ".{2}",
    r"\S\D\W",
    r"[äöü€]{2}",
    r"\p{IsBasicLatin}+",
    "[+-]a",
    "[-a]b[a-]",
    "^a$",
    "x{0}y{0,2}z{1,}",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_text_matches_its_pattern(pattern: str) -> None:
    body = pattern.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    text = (
        f'{HEAD}<xs:element name="A"><xs:simpleType><xs:restriction base="xs:string"><xs:pattern value="{body}"/>'
        "</xs:restriction></xs:simpleType></xs:element></xs:schema>"
    )
    libxml2 = etree.XMLSchema(etree.fromstring(text))
    element = etree.Element("{urn:t}A")

    for seed in range(50):
        element.text = matching(pattern, Random(seed), 4)
        assert libxml2.validate(element), (element.text, libxml2.error_log)


@pytest.mark.parametrize(
    "pattern", ["(a", "a)", "[a", "*a", "a{2", "[b-a]", r"\p{IsThai}", "\\", r"\pL", "[^ -~\\s\\S]"]
)
def test_what_is_no_pattern_is_said(pattern: str) -> None:
    with pytest.raises(Unsupported):
        matching(pattern, Random(0), 1)
