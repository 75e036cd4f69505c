use std::collections::BTreeSet;

use serde_json::json;

use super::stage::{DEALERSHIP, Stage};

/// Texts, and the edges of fields, that do not stand out: a text needs 4.5 times the luminance of its ground, an edge 3
/// times. <https://www.w3.org/TR/WCAG22/#contrast-minimum>, <https://www.w3.org/TR/WCAG22/#non-text-contrast>
const PALE: &str = "(() => {
  const root = document.querySelector('norvalt-form')?.shadowRoot || document;
  const rgb = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => rgb(color).slice(0, 3)
    .map((c) => c / 255).map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((a, b) => b - a); return (x + .05) / (y + .05) };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (rgb(c)[3] !== 0) return c } };
  const pale = [];
  let looked = 0;
  for (const e of root.querySelectorAll('.norvalt *')) {
    const style = getComputedStyle(e);
    const field = e.matches('input:not([type=hidden]), textarea');
    const text = [...e.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (e.closest('.aside') || e.localName === 'option' || !(text || field)) continue;
    looked += 1;
    if (contrast(style.color, ground(e)) < 4.5) pale.push([e.localName, e.className, style.color, ground(e)]);
    if (field && contrast(style.borderTopColor, ground(e.parentElement)) < 3) pale.push([e.name, 'edge', style.borderTopColor]);
  }
  return looked > 10 ? pale : ['nothing to look at'];
})()";

/// What sticks out of the window, or is too small for a finger. <https://www.w3.org/TR/WCAG22/#reflow>,
/// <https://www.w3.org/TR/WCAG22/#target-size-enhanced>
const CRAMPED: &str = "(() => {
  const root = document.querySelector('norvalt-form')?.shadowRoot || document;
  const width = document.documentElement.clientWidth;
  const seen = [...root.querySelectorAll('.norvalt, .norvalt *')].filter((e) => !e.closest('.aside, .status') && e.getClientRects().length);
  const wide = seen.filter((e) => e.getBoundingClientRect().right > width + .5 || e.getBoundingClientRect().left < 0);
  const small = seen.filter((e) => e.matches('input, textarea, button') && e.getBoundingClientRect().height < 44);
  const scrolls = document.documentElement.scrollWidth > width ? ['the page'] : [];
  return [...wide, ...small].map((e) => `${e.localName} ${e.id}`).concat(scrolls);
})()";

impl Stage {
    /// Looks at what is shown, in both schemes, on a wide and on a narrow screen.
    async fn look(&mut self, name: &str) {
        for scheme in ["light", "dark"] {
            self.browser.prefer(scheme).await;
            for width in [1000, 320] {
                self.browser.resize(width, 1500).await;
                self.browser.screenshot(&format!("{name}-{scheme}-{width}")).await;
                assert_eq!(self.browser.eval(CRAMPED).await, json!([]), "{name}, {scheme}, {width}");
            }
            assert_eq!(self.browser.eval(PALE).await, json!([]), "{name}, {scheme}");
        }
    }

    async fn background(&mut self, element: &str) -> String {
        let color = self.browser.eval(&format!("getComputedStyle({element}).backgroundColor")).await;
        color.as_str().expect("text").to_owned()
    }
}

#[tokio::test]
async fn the_hosted_page_is_legible_in_light_and_dark_and_on_small_screens() {
    let Some(mut stage) = Stage::set().await else { return };
    stage.open_hosted("?phone=12&email=ase.bjornoy").await;
    stage.look("look-hosted").await;
    assert_eq!(stage.background("document.querySelector('main')").await, "rgb(28, 33, 38)", "it is dark");
    stage.browser.eval("document.querySelector('form').requestSubmit()").await;
    stage.browser.until("!!document.querySelector('.alert')").await;
    stage.look("look-mistakes").await;
}

#[tokio::test]
async fn the_embedded_form_has_the_scheme_of_the_page_around_it() {
    let Some(mut stage) = Stage::set().await else { return };
    stage.open_site("/plain").await;
    let form = "document.querySelector('norvalt-form').shadowRoot.querySelector('.norvalt')";
    stage.browser.prefer("dark").await;
    assert_eq!(stage.background(form).await, "rgb(255, 255, 255)", "the page knows no dark scheme");
    stage.browser.eval("document.documentElement.style.colorScheme = 'light dark'").await;
    assert_eq!(stage.background(form).await, "rgb(28, 33, 38)");
    stage.browser.eval(&format!("{form}.querySelector('button').click()")).await;
    stage.browser.until(&format!("!!{form}.querySelector('.alert')")).await;
    stage.look("look-embedded").await;
}

#[tokio::test]
async fn every_field_says_what_it_is() {
    let Some(mut stage) = Stage::set().await else { return };
    let expected = [
        ("textbox", "Navn"),
        ("textbox", "Telefon"),
        ("textbox", "E-post"),
        ("textbox", "Hvilken bil gjelder det?"),
        ("textbox", "Melding"),
        ("button", "Send"),
    ];
    for embedded in [false, true] {
        if embedded {
            stage.open_site("/plain").await;
        } else {
            stage.open_hosted("").await;
            let heading = stage.browser.eval("document.querySelector('h1').textContent").await;
            assert_eq!(heading, format!("Kontakt {DEALERSHIP}"));
        }
        let spoken = stage.browser.read_aloud().await;
        let names: BTreeSet<_> = spoken.iter().map(|(role, name, ..)| (role.as_str(), name.as_str())).collect();
        assert_eq!((names, spoken.len()), (expected.into(), expected.len()));
        let needed = "Fyll ut telefon eller e-post. Én av dem er nok";
        for (_, name, description, wrong) in &spoken {
            assert!(!wrong, "{name}");
            assert_eq!(description.starts_with(needed), ["Telefon", "E-post"].contains(&name.as_str()), "{name}");
        }
    }
}
