from resolver_policy.errors import ConditionsInvalid, NameInvalid, PolicyError, printable


def test_a_refusal_says_code_detail_value_and_rule() -> None:
    error = NameInvalid("'a..b' is not a domain name: empty label", value="a..b", rule="empty_label")
    assert (error.code, error.detail, error.value, error.rule) == (
        "name_invalid",
        "'a..b' is not a domain name: empty label",
        "a..b",
        "empty_label",
    )
    assert str(error) == error.detail


def test_value_and_rule_may_be_missing() -> None:
    assert (PolicyError("no").value, PolicyError("no").rule) == (None, None)


def test_what_does_not_print_is_escaped() -> None:
    assert printable("a\nb\u202ec\x00\ud800") == "a\\nb\\u202ec\\x00\\ud800"
    assert printable("münchen 'quoted' \\") == "münchen 'quoted' \\"


def test_long_values_are_cut_to_two_hundred_characters() -> None:
    assert printable("x" * 200) == "x" * 200
    assert printable("x" * 201) == "x" * 199 + "…"
    assert len(printable("\x00" * 1_000_000)) == 200


def test_a_condition_says_where_the_fault_is() -> None:
    error = ConditionsInvalid("no", pointer="/all_of/0/code")
    assert (error.code, error.pointer) == ("body_invalid", "/all_of/0/code")


def test_every_kind_has_the_code_of_the_interface() -> None:
    assert {kind.__name__: kind.code for kind in PolicyError.__subclasses__()} == {
        "NameInvalid": "name_invalid",
        "NameTooLong": "name_too_long",
        "AddressNotName": "address_not_name",
        "HardProtected": "hard_protected",
        "SoftProtected": "soft_protected",
        "ConditionsEmpty": "conditions_empty",
        "NoGatingCondition": "no_gating_condition",
        "ConditionsInvalid": "body_invalid",
        "ActionInvalid": "body_invalid",
        "ExportTooLarge": "too_large",
        "SerialExhausted": "state_conflict",
    }
