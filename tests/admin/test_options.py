"""Options as form fields: what a schema makes of them, what is shown, and what is read."""

from __future__ import annotations

from collections.abc import Mapping
from html import unescape
from typing import Any

import pytest
from django import forms
from django.utils import translation

from lingstream.admin.display import kind_title
from lingstream.admin.options import FURTHER, KindForm, forms_of
from lingstream.core.engine.kinds import step_kinds
from lingstream.knowledge.sources.port import source_kinds


def form_of(schema: Any, stored: Mapping[str, Any] | None = None, **whole: Any) -> KindForm:
    """The form of a kind with one option ``x``."""
    return KindForm("some", {"type": "object", "properties": {"x": schema}, **whole}, stored)


def typed(form: KindForm, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent if nothing else is touched."""
    return {**{name: field.initial for name, field in form.fields.items()}, **changes}


class TestFields:
    @pytest.mark.parametrize(
        ("schema", "widget"),
        [
            ({"type": "string"}, forms.TextInput),
            ({"type": "string", "maxLength": 80}, forms.TextInput),
            ({"type": "string", "maxLength": 1000}, forms.Textarea),
            ({"type": "string", "maxLength": 1000, "x-template": "url"}, forms.TextInput),
            ({"type": "string", "format": "textarea"}, forms.Textarea),
            ({"type": "string", "enum": ["a"]}, forms.Select),
            ({"enum": [1, "1", None]}, forms.Select),
            ({"const": 1}, forms.Select),
            ({"type": "boolean"}, forms.CheckboxInput),
            ({"type": "integer"}, forms.NumberInput),
            ({"type": ["number", "null"]}, forms.NumberInput),
            ({"anyOf": [{"type": "number"}, {"type": "null"}]}, forms.NumberInput),
            ({"$ref": "#/$defs/a~1b"}, forms.CheckboxInput),
            ({"$ref": "#/$defs/round"}, forms.Textarea),
            ({"$ref": "#/$defs/none"}, forms.Textarea),
            ({"type": ["string", "integer"]}, forms.Textarea),
            ({"type": "object"}, forms.Textarea),
            ({"type": "array"}, forms.Textarea),
            ({}, forms.Textarea),
            (True, forms.Textarea),
        ],
    )
    def test_are_of_the_type_of_their_option(self, schema: Any, widget: type[forms.Widget]) -> None:
        defs = {"a/b": {"type": "boolean"}, "round": {"$ref": "#/$defs/round"}}
        field = form_of(schema, **{"$defs": defs}).fields["x"]
        assert type(field.widget) is widget

    def test_say_what_the_schema_says(self) -> None:
        schema = {"type": "string", "title": "<i>", "description": "<b> & more", "default": "mine"}
        field = form_of(schema).fields["x"]
        assert (field.label, field.help_text) == ("<i>", "&lt;b&gt; &amp; more")
        assert (field.widget.attrs["placeholder"], field.initial) == ("mine", "")
        assert form_of({}).fields["x"].label == "X"

    @pytest.mark.parametrize(
        ("schema", "help"),
        [
            ({"type": "object"}, 'JSON: {"name": "value"}'),
            ({"type": "array", "description": "Of numbers."}, 'Of numbers. JSON: ["value", "value"]'),
            ({"type": "array", "description": "Like [1, 2]."}, "Like [1, 2]. JSON."),
            ({}, "JSON, or a template: {{ value }}"),
            ({"type": ["object", "array"]}, "JSON."),
            ({"type": "integer"}, ""),
        ],
    )
    def test_say_how_json_is_typed(self, schema: Any, help: str) -> None:
        assert unescape(str(form_of(schema).fields["x"].help_text)) == help

    def test_of_what_is_needed_have_the_default_typed_already(self) -> None:
        assert form_of({"type": "string", "default": "a"}, required=["x"]).fields["x"].initial == "a"
        assert form_of({"enum": [1, 2], "default": 2}, required=["x"]).fields["x"].initial == "2"

    def test_of_choices_name_the_default(self) -> None:
        widget = form_of({"enum": ["", "a", 1, "1", None], "default": "a"}).fields["x"].widget
        assert isinstance(widget, forms.Select)
        assert [label for _, label in widget.choices] == ["a (default)", '""', "a", "1", '"1"', "null"]

    def test_show_a_stored_choice_that_is_none_any_more(self) -> None:
        form = form_of({"enum": ["a"]}, {"x": "gone"})
        assert form.fields["x"].initial == "gone"
        assert "gone" in str(form.fields["x"].widget.render("x", "gone"))
        assert [name for name, _ in form.read(typed(form, {})).errors] == ["x"]

    def test_of_lines_have_room_for_them(self) -> None:
        form = form_of({"type": "string"}, {"x": "a\nb"})
        assert type(form.fields["x"].widget) is forms.Textarea


READ = [
    ({"type": "string"}, " a ", " a "),
    ({"type": "string", "format": "textarea"}, "a\r\nb", "a\nb"),
    ({"enum": ["a", 1, "1", None]}, "1", 1),
    ({"enum": ["a", 1, "1", None]}, '"1"', "1"),
    ({"enum": ["a", 1, "1", None]}, "null", None),
    ({"type": "boolean"}, True, True),
    ({"type": "boolean", "default": True}, False, False),
    ({"type": "integer"}, " 5 ", 5),
    ({"type": "integer"}, "5.0", 5.0),
    ({"type": "number"}, "-.5e1", -5.0),
    ({"type": "object"}, '{"a": [1]}', {"a": [1]}),
    ({"type": "array"}, "[]", []),
    ({}, '"a"', "a"),
    ({}, "0", 0),
    ({}, "{{ value }}", "{{ value }}"),
    ({}, "{{ a }}\r\n{{ b }}", "{{ a }}\n{{ b }}"),
]


class TestRead:
    @pytest.mark.parametrize(("schema", "text", "value"), READ)
    def test_is_what_was_typed(self, schema: Any, text: Any, value: Any) -> None:
        form = form_of(schema)
        assert form.read({"x": text}) == ({"x": value}, [])
        assert type(form.read({"x": text}).options["x"]) is type(value)

    @pytest.mark.parametrize(("schema", "text", "value"), READ)
    def test_is_what_was_shown(self, schema: Any, text: Any, value: Any) -> None:
        form = form_of(schema, {"x": value})
        initial = form.fields["x"].initial
        assert form.read({"x": initial}) == ({"x": value}, [])
        again = form_of(schema).read({"x": initial}).options.get("x", False)
        assert again == value

    @pytest.mark.parametrize(
        ("schema", "text", "message"),
        [
            ({"type": "string", "minLength": 3}, "a", ""),
            ({"enum": ["a"]}, "b", "Expected one of a, got “b”"),
            ({"type": "integer"}, "1.5", ""),
            ({"type": "integer", "maximum": 5}, "6", ""),
            ({"type": "integer"}, "five", "Expected a number, got “five”"),
            ({"type": "number"}, "1_000", "Expected a number"),
            ({"type": "number"}, "9" * 200, "Expected a number"),
            ({"type": "number"}, "nan", "Expected a number"),
            ({"type": "number"}, "1e999", "Expected numbers that JSON can write"),
            ({"type": "object"}, '{"a": NaN}', "Expected numbers up to 1.7e308"),
            ({"type": "object"}, '{"a": ', "This is not JSON"),
            ({"type": "object"}, "[]", ""),
            ({"type": "object"}, "{{ value }}", "This is not JSON"),
            ({"type": "object", "additionalProperties": {"type": "string"}}, '{"a": {"b": 1}}', "a: "),
            ({"type": "array"}, "[" * 2000 + "]" * 2000, "levels of nesting"),
        ],
    )
    def test_is_refused_at_its_option(self, schema: Any, text: str, message: str) -> None:
        _options, errors = form_of(schema).read({"x": text})
        assert [name for name, _ in errors] == ["x"]
        assert message in errors[0][1]

    @pytest.mark.parametrize("value", ["", None, [], {}, False, "\ud800", 1.0, {"a": "\ud800"}])
    def test_keeps_what_nobody_has_touched(self, value: Any) -> None:
        schema = {"type": "boolean"} if value is False else {}
        for each in (schema, {"type": "string"} if isinstance(value, str) else schema):
            form = form_of(each, {"x": value})
            str(form.fields["x"].widget.render("x", form.fields["x"].initial)).encode()
            assert form.read(typed(form, {})) == ({"x": value}, [])

    def test_leaves_out_what_is_empty(self) -> None:
        for schema, value in [
            ({"type": "string"}, "a"),
            ({"enum": [1]}, 1),
            ({}, [1]),
            ({"type": "number"}, 1),
        ]:
            assert form_of(schema).read({"x": ""}) == ({}, [])
            assert form_of(schema).read({}) == ({}, [])
            assert form_of(schema, {"x": value}).read({"x": ""}) == ({}, [])

    def test_leaves_the_default_of_a_flag_to_the_kind(self) -> None:
        schema = {"type": "boolean", "default": True}
        assert form_of(schema).read({"x": True}) == ({}, [])
        assert form_of(schema, required=["x"]).read({"x": True}) == ({"x": True}, [])

    def test_asks_for_what_is_needed(self) -> None:
        assert form_of({"type": "string"}, required=["x"]).read({"x": ""}) == (
            {},
            [("x", "This field is required.")],
        )

    def test_tells_of_all_that_is_wrong_at_once(self) -> None:
        properties = {name: {"type": "integer", "maximum": 1} for name in "abcd"}
        form = form_of({}, properties=properties, required=["a", "d"])
        errors = form.read({"a": "", "b": "x", "c": "2", "d": "1"}).errors
        assert [name for name, _ in errors] == ["a", "b", "c"]

    def test_tells_what_no_option_is_to_blame_for(self) -> None:
        assert [name for name, _ in form_of({}, minProperties=1).read({"x": ""}).errors] == [""]


class TestFurtherOptions:
    """Those that a schema allows without naming them."""

    @pytest.mark.parametrize(
        ("whole", "offered"),
        [
            ({}, False),
            ({"additionalProperties": False}, False),
            ({"additionalProperties": True}, True),
            ({"additionalProperties": {"type": "string"}}, True),
            ({"additionalProperties": False, "patternProperties": {"^a": {}}}, True),
            ({"properties": {}}, True),
            ({"properties": {}, "additionalProperties": False}, False),
        ],
    )
    def test_have_a_field_where_they_are_meant(self, whole: dict[str, Any], offered: bool) -> None:
        assert (FURTHER in form_of({}, **whole).fields) is offered

    def test_are_read_beside_the_others(self) -> None:
        form = form_of({}, {"x": 1, "more": 2}, additionalProperties=True)
        assert '"more": 2' in form.fields[FURTHER].initial
        assert form.read(typed(form, {FURTHER: '{"other": 3}'})).options == {"x": 1, "other": 3}
        assert form.read(typed(form, {})).options == {"x": 1, "more": 2}
        assert form.read(typed(form, {FURTHER: ""})).options == {"x": 1}

    @pytest.mark.parametrize("text", ["[1]", '{"x": 2}', '{"other": 3}'])
    def test_are_refused_at_their_field(self, text: str) -> None:
        form = form_of({}, additionalProperties={"type": "string"})
        assert [name for name, _ in form.read({FURTHER: text}).errors] == [FURTHER]

    def test_stay_where_they_have_no_field(self) -> None:
        form = form_of({}, {"x": 1, "more": 2})
        assert form.read(typed(form, {})).options == {"x": 1, "more": 2}

    def test_that_the_schema_has_forbidden_since_go(self) -> None:
        form = form_of({}, {"x": 1, "more": 2}, additionalProperties=False)
        assert form.read(typed(form, {})) == ({"x": 1}, [])


@pytest.mark.parametrize(
    ("uri", "place"), [("x", ("x", "")), ("x/a/0", ("x", "a/0")), ("y/z", ("", "y/z")), ("", ("", ""))]
)
def test_a_uri_lies_in_an_option(uri: str, place: tuple[str, str]) -> None:
    assert form_of({}).place(uri) == place


def test_kinds_speak_the_language_of_their_reader() -> None:
    with translation.override("zh-hans"):
        method = forms_of()["http"].fields["method"]
        assert (method.label, method.help_text) == ("方法", "未给出时为 GET。")
        assert kind_title("http", step_kinds()["http"]) == "HTTP 请求"
        folder = source_kinds()["folder"]
        assert kind_title("folder", folder) == "文件夹"
        assert KindForm("folder", folder.config_schema).fields["watch"].label == "监视"
        assert forms_of()["letter"].fields["to"].label == "Addressee"  # whose app has no catalog
