// Draws a form on a page that is not ours, in a shadow root: neither side's styles reach the other. What people write goes
// into text nodes and JSON only.
function drawForms(config) {
  'use strict';

  const CHALLENGE = 'https://challenges.cloudflare.com/turnstile/v0/api.js';
  const PATIENCE = 20000;
  const CAMPAIGN = ['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content', 'gclid', 'fbclid'];
  const script = document.currentScript || document.querySelector(`script[src$="/embed/${config.key}.js"]`);
  const page = `${config.origin}/forms/${config.key}`;

  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', place, { once: true });
  else place();

  // In each element that asks for this form, else where the script stands.
  function place() {
    const marked = [...document.querySelectorAll('[data-norvalt-form]')].filter(
      (element) => [config.key, ''].includes(element.dataset.norvaltForm) && !element.querySelector('norvalt-form'),
    );
    if (marked.length) marked.forEach((element) => draw((host) => element.replaceChildren(host), element.dataset));
    else if (script && document.body.contains(script)) draw((host) => script.after(host), script.dataset);
    else console.error('Norvalt: no element has the attribute data-norvalt-form, and the script is not in the body.');
  }

  function draw(put, { language }) {
    const host = document.createElement('norvalt-form');
    const root = host.attachShadow({ mode: 'open' });
    dress(root);
    const lang = config.texts[language] ? language : config.language;
    const view = element('div');
    const status = element('p', { class: 'status', role: 'status' });
    const frame = element('section', { class: 'norvalt', lang, 'aria-labelledby': 'title' }, view, status);
    // Letters are for the form, not for the shortcuts of the page around it.
    for (const kind of ['keydown', 'keypress', 'keyup']) {
      frame.addEventListener(kind, (event) => event.key.length === 1 && !event.ctrlKey && !event.metaKey && event.stopPropagation());
    }
    root.append(frame);
    put(host);
    show({ host, view, status, lang });
  }

  // A sheet that is made here needs no permission of the page's policy, as a style element does.
  function dress(root) {
    try {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(config.style);
      root.adoptedStyleSheets = [sheet];
    } catch {
      root.append(element('style', {}, config.style));
    }
  }

  function show({ host, view, status, lang }) {
    const texts = config.texts[lang];
    const named = (text) => text.replaceAll('{dealership}', () => config.dealership);
    const shown = performance.now();
    status.textContent = '';
    const challenge = config.siteKey ? ask(host, lang) : { token: () => undefined, renew() {} };
    let attempt = { written: undefined, nonce: undefined };

    const alerts = element('div');
    const button = element('button', { type: 'submit' }, texts.send);
    const input = (name, label, attributes) => field(label, element('input', { id: name, name, type: 'text', ...attributes }));
    // Of the type email, browsers would write a domain with æøå in another way.
    const contactInput = (name, label, kind, maxlength) => input(name, label, {
      inputmode: kind, autocomplete: kind, autocapitalize: 'none', spellcheck: 'false', maxlength, 'aria-describedby': 'one-of-two',
    });
    const contact = element('fieldset', {},
      element('legend', {}, texts.contact),
      element('p', { class: 'hint', id: 'one-of-two' }, texts.one_of_two),
      element('div', { class: 'pair' },
        contactInput('phone', texts.phone, 'tel', 100),
        contactInput('email', texts.email, 'email', 254)));
    const trap = input('_gotcha', texts.honeypot, { tabindex: -1, autocomplete: 'off' });
    trap.className = 'aside';
    trap.setAttribute('aria-hidden', 'true');
    const form = element('form', { method: 'post', action: `${config.origin}/webhooks/form/${config.key}` },
      input('name', texts.name, { autocomplete: 'name', maxlength: 200 }),
      contact,
      input('vehicle_interest', texts.vehicle, { autocomplete: 'off', maxlength: 500 }),
      field(texts.message, element('textarea', { id: 'message', name: 'message', rows: 5, maxlength: 20000 })),
      trap,
      element('slot', { name: 'challenge' }),
      element('p', {}, button),
      element('p', { class: 'hint' }, named(texts.privacy)));
    view.replaceChildren(
      element('h2', { class: 'title', id: 'title' }, named(texts.title)), element('p', {}, texts.intro), alerts, form);
    form.addEventListener('submit', submit);

    async function submit(event) {
      event.preventDefault();
      if (button.hasAttribute('aria-disabled')) return;
      const written = values();
      // What may have arrived already is sent again under the same name, but what was changed since is another inquiry.
      if (attempt.written !== JSON.stringify(written)) attempt = { written: JSON.stringify(written), nonce: nonce() };
      busy(true);
      const answer = await post({
        ...written,
        _nonce: attempt.nonce,
        _elapsed: String(Math.round(performance.now() - shown)),
        'cf-turnstile-response': challenge.token(),
      });
      busy(false);
      clear();
      if (answer.ok) return thank();
      challenge.renew();
      if (answer.errors.length) complain(answer.errors);
      else fail(answer.status);
    }

    function values() {
      const link = new URLSearchParams(location.search);
      const campaign = CAMPAIGN.filter((name) => link.get(name)).map((name) => [name, link.get(name)]);
      const source = ['source_url', location.href.split('#')[0]];
      return Object.fromEntries([...new FormData(form), source, ['_language', lang], ...campaign]);
    }

    function busy(yes) {
      if (yes) button.setAttribute('aria-disabled', 'true');
      else button.removeAttribute('aria-disabled');
      button.textContent = yes ? texts.sending : texts.send;
      status.textContent = yes ? texts.sending : '';
    }

    function clear() {
      alerts.replaceChildren();
      form.querySelectorAll('.mistake').forEach((mistake) => mistake.remove());
      form.querySelectorAll('[aria-invalid]').forEach((input) => {
        input.removeAttribute('aria-invalid');
        input.setAttribute('aria-describedby', 'one-of-two');
      });
    }

    // Each mistake twice: above all, with the way to its field, and at the field. What is wrong with a field that was left
    // empty is that the other one was, too.
    function complain(errors) {
      const filled = (name) => ['phone', 'email'].includes(name) && form.elements.namedItem(name).value.trim();
      const wrong = new Set(errors.map(({ field }) => (filled(field) ? field : 'contact')));
      const links = ['contact', 'phone', 'email'].filter((field) => wrong.has(field)).map((field) => {
        const own = field !== 'contact';
        const text = own ? texts[`invalid_${field}`] : texts.unreachable;
        const inputs = (own ? [field] : ['phone', 'email']).map((name) => form.elements.namedItem(name));
        const id = own ? `${field}-mistake` : 'unreachable';
        const mistake = element('p', { class: 'mistake', id }, text);
        if (own) inputs[0].before(mistake);
        else contact.querySelector('.hint').after(mistake);
        inputs.forEach((input) => {
          input.setAttribute('aria-invalid', 'true');
          input.setAttribute('aria-describedby', `${id} ${input.getAttribute('aria-describedby')}`);
        });
        const link = element('a', { href: `#${inputs[0].id}` }, text);
        link.addEventListener('click', (event) => {
          event.preventDefault();
          inputs[0].focus();
        });
        return element('li', {}, link);
      });
      warn(texts.mistakes, element('ul', {}, ...links));
    }

    function fail(code) {
      if (code === 404) return warn(texts.closed, element('p', {}, texts.closed_help));
      button.textContent = texts.retry;
      const link = element('a', { href: page, target: '_blank', rel: 'noopener' }, texts.own_page);
      warn(code === 429 ? texts.busy : texts.failed, element('p', {}, texts.kept), element('p', {}, link));
    }

    function warn(heading, ...content) {
      const alert = element('div', { class: 'alert', role: 'alert', tabindex: -1 }, element('h3', {}, heading), ...content);
      alerts.replaceChildren(alert);
      alert.focus();
    }

    function thank() {
      const heading = element('h2', { class: 'title', id: 'title', tabindex: -1 }, texts.thanks);
      const another = element('button', { type: 'button', class: 'another' }, texts.another);
      another.addEventListener('click', () => {
        show({ host, view, status, lang });
        view.querySelector('input').focus();
      });
      const follows = named(texts.answer_follows);
      view.replaceChildren(heading, element('p', {}, follows), another);
      // The focus has the heading read aloud, this the rest.
      heading.focus();
      status.textContent = follows;
      // For the page's own measurement; it says nothing of who wrote.
      host.dispatchEvent(new CustomEvent('norvalt:received', { bubbles: true }));
    }
  }

  function field(label, input) {
    return element('div', { class: 'field' }, element('label', { for: input.id }, label), input);
  }

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    made.append(...children);
    return made;
  }

  function nonce() {
    // Pages without TLS have no randomUUID.
    if (crypto.randomUUID) return crypto.randomUUID();
    return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16)).join('-');
  }

  async function post(inquiry) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), PATIENCE);
    try {
      const answer = await fetch(`${config.origin}/webhooks/form/${config.key}`, {
        method: 'POST',
        credentials: 'omit',
        headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
        body: JSON.stringify(inquiry),
        signal: abort.signal,
      });
      const { ok, status } = answer;
      return { ok, status, errors: status === 422 ? (await answer.json()).errors || [] : [] };
    } catch {
      return { ok: false, status: 0, errors: [] };
    } finally {
      clearTimeout(timer);
    }
  }

  // Turnstile finds no way into a shadow root: it is drawn outside, and shown in the form by its slot. An inquiry without
  // its token is taken too, and looked at by a person.
  function ask(host, language) {
    const box = element('div', { slot: 'challenge' });
    host.replaceChildren(box);
    let token;
    let widget;
    if (!document.querySelector(`script[src^="${CHALLENGE}"]`)) {
      document.head.append(element('script', { src: `${CHALLENGE}?render=explicit`, async: '' }));
    }
    const timer = setInterval(() => {
      if (!window.turnstile) return;
      clearInterval(timer);
      widget = window.turnstile.render(box, {
        sitekey: config.siteKey,
        language,
        size: 'flexible',
        callback: (answer) => (token = answer),
        'expired-callback': () => (token = undefined),
      });
    }, 200);
    setTimeout(() => clearInterval(timer), PATIENCE);
    return {
      token: () => token,
      renew() {
        token = undefined;
        if (widget !== undefined) window.turnstile.reset(widget);
      },
    };
  }
}
