// The hosted form works without this. With it the page says how long filling in took and where the visitor came from, a
// second click sends nothing, and the focus is on what went wrong.
(function () {
  'use strict';

  const form = document.querySelector('form');
  const field = (name) => form.elements.namedItem(name);
  const button = form.querySelector('button');
  const status = form.querySelector('[role=status]');
  const shown = performance.now();
  const before = Number(field('_elapsed').value) || 0;
  const label = button.textContent;

  const alert = document.querySelector('[role=alert]');
  if (alert) alert.focus();

  if (!field('source_url').value) field('source_url').value = document.referrer || location.href.split('#')[0];

  form.addEventListener('submit', (event) => {
    if (button.getAttribute('aria-disabled')) return event.preventDefault();
    field('_elapsed').value = String(Math.round(before + performance.now() - shown));
    button.setAttribute('aria-disabled', 'true');
    button.textContent = status.textContent = button.dataset.sending;
  });

  // Back from what followed: what is sent now is another inquiry.
  addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    field('_nonce').value = Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16)).join('-');
    button.removeAttribute('aria-disabled');
    button.textContent = label;
    status.textContent = '';
  });
})();
