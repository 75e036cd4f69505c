use super::*;
use crate::answers::language::detect;

fn values() -> Values {
    Values {
        customer: "Åse".to_owned(),
        dealership: "Fjordbil <AS>".to_owned(),
        vehicle: "Tesla Model Y".to_owned(),
        phone: "22 12 34 56".to_owned(),
        back: "09.00".to_owned(),
    }
}

#[test]
fn there_is_a_text_for_every_occasion_in_every_language_with_or_without_values() {
    for language in Language::ALL {
        for occasion in Occasion::ALL {
            let full = text(occasion, language, None, &values());
            assert!(full.contains("Fjordbil <AS>") && !full.contains(['{', '}', '[']), "{full}");
            assert_eq!(full.contains("Tesla Model Y"), occasion == Occasion::Vehicle, "{full}");
            assert!(full.contains("09.00"), "{full}");
            let bare =
                text(occasion, language, None, &Values { dealership: "Fjordbil".to_owned(), ..Values::default() });
            assert!(bare.ends_with('.') && !bare.contains("  ") && !bare.contains(" ,"), "{bare}");
            assert_eq!(detect(&full), Some(language), "{full}");
        }
        for author in [Author::Assistant, Author::Template] {
            let said = disclosure(language, author, Some("22 12 34 56"));
            assert!(said.contains("22 12 34 56") && !said.contains('{'), "{said}");
            assert!(!disclosure(language, author, None).contains(['{', '2']));
        }
        assert_ne!(disclosure(language, Author::Assistant, None), disclosure(language, Author::Template, None));
    }
    assert_eq!(greeting(Language::Nn, Some("Eirik")), "Hei Eirik,");
    assert_eq!(greeting(Language::En, None), "Hello,");
}

#[test]
fn a_dealerships_own_text_is_used_unless_it_does_not_work() {
    let own = |template| text(Occasion::Receipt, Language::Nb, Some(template), &values());
    assert_eq!(own("Hallo {{ customer }}! {% if vehicle %}{{ vehicle }}{% endif %}"), "Hallo Åse! Tesla Model Y");
    for wrong in ["{{ customer", "{{ price }}", " ", "{% for x in y %}{% endfor %}"] {
        assert!(own(wrong).starts_with("Hei Åse"), "{wrong}");
    }
}

#[test]
fn what_is_wrong_with_a_template_is_said_with_its_line() {
    assert_eq!(
        check_template("Hei {{ customer }},\n\n{% if phone %}Ring {{ phone }}.{% else %}Svar.{% endif %}"),
        Ok(())
    );
    for (template, line) in [
        ("Hei\n{{ customr }}", "line 2: there is only"),
        ("Hei {{ customer", "line 1: `{{` is not closed"),
        ("Hei\n\n{% if phone %}x", "line 3: "),
        ("Hei {% endif %}", "line 1: "),
        ("{% for x in range(99999999) %}a{% endfor %}", "line 1: only if"),
        ("{% set x = customer ~ customer %}", "line 1: only if"),
        ("{{ 'x' * 999999999 }}", "line 1: only names"),
        ("{{ customer.x.y }}", "line 1: only names"),
        ("{%- if phone -%}{{ customer|upper }}{% endif %}", "line 1: only names"),
        ("{% include 'x' %}", "line 1: only if"),
        ("   \n", "is empty"),
        ("{% if phone and customr %}a{% endif %}", "line 1: there is only"),
    ] {
        let error = check_template(template).expect_err(template);
        assert!(error.starts_with(line), "{template}: {error}");
    }
    assert!(check_template(&"å".repeat(SOURCE_LIMIT + 1)).is_err());
}

#[test]
fn no_template_takes_long_or_grows_large() {
    let greedy = "{{ dealership }}".repeat(SOURCE_LIMIT / 16);
    let values = Values { dealership: "x".repeat(1_000_000), ..values() };
    assert!(rendered(&greedy, &values).expect_err("too long").starts_with("comes to more than"));
    let deep = format!("{}{}", "{% if phone %}".repeat(150), "{% endif %}".repeat(150));
    assert!(check_template(&deep).is_err());
}
