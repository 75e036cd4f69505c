// The site's own shortcuts: letters, wherever the focus is.
window.shortcuts = 0;
document.addEventListener('keydown', (event) => { if (event.key.length === 1) window.shortcuts += 1; });
document.addEventListener('norvalt:received', () => { window.received = (window.received || 0) + 1; });
