// The console's script: it loads the page again when the tenant changes and replaces the
// parts that differ. Without it the console works by forms and links.
'use strict';

const announce = document.getElementById('announce');
const failure = document.getElementById('error');
const address = document.currentScript.dataset.events;
let events = null;
let newest = 0;
let timer = 0;
let paused = false;
let pressed = false;
const news = [];

// swap replaces the live parts of this page by those of another copy of it. It keeps
// what a person opened, has the focus on, or is filling in, and a token until the next.
function swap(text, own) {
  const next = new DOMParser().parseFromString(text, 'text/html');
  for (const part of document.querySelectorAll('[data-live]')) {
    const fresh = next.getElementById(part.id);
    if (!fresh || fresh.innerHTML === part.innerHTML || (part.dataset.dirty && !own)) continue;
    if (part.dataset.live === 'keep' && !fresh.innerHTML.trim()) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement.id : '';
    const open = [...part.querySelectorAll('details[open]')].map((d) => d.id);
    part.replaceChildren(...fresh.childNodes);
    delete part.dataset.dirty;
    for (const id of open) document.getElementById(id)?.setAttribute('open', '');
    if (focused) (document.getElementById(focused) || document.getElementById('main')).focus({ preventScroll: true });
  }
  mark();
  if (own) fail(next.getElementById('error')?.textContent || '');
}

// fail shows why the last form was refused, until the next one is sent.
function fail(why) {
  if (why) announce.textContent = '';
  failure.textContent = why;
  failure.hidden = !why;
}

// mark highlights the requests that came since the last time.
function mark() {
  const before = newest;
  for (const row of document.querySelectorAll('.log > li')) {
    const number = Number(row.id.slice(1));
    if (before && number > before) row.classList.add('new');
    newest = Math.max(newest, number);
  }
}

async function refresh() {
  timer = 0;
  if (pressed) return schedule(); // a button that is replaced now would lose its click
  try {
    const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
    const text = await answer.text();
    if (pressed) return schedule();
    if (answer.ok) swap(text, false);
    document.body.dataset.ready = 'yes';
  } catch { /* the tenant has stopped; the stream tries again */ }
}

function schedule() {
  if (!timer && !paused) timer = setTimeout(refresh, 120);
}

function tell() {
  const { method, path, status, reason } = news.at(-1);
  const what = news.length === 1 ? 'New request' : `${news.length} new requests, the last`;
  announce.textContent = `${what}: ${method} ${path}, ${status}. ${reason || ''}`;
  news.length = 0;
}

function follow() {
  events = new EventSource(address);
  events.onopen = schedule; // something may have happened before
  events.addEventListener('change', schedule);
  events.addEventListener('request', (e) => {
    const r = JSON.parse(e.data);
    schedule();
    if (document.body.dataset.page !== 'journal' || paused) return;
    news.push(r);
    if (news.length === 1) setTimeout(tell, 1500); // a screen reader reads one sentence, not each request
  });
}

// submit sends a form in the background, so that the page keeps its place. The members
// of a form can be buttons, such as one that is called action.
async function submit(e) {
  const form = e.target;
  if (form.getAttribute('method') !== 'post') return;
  e.preventDefault();
  const body = new URLSearchParams(new FormData(form, e.submitter));
  try {
    const answer = await fetch(form.getAttribute('action'), { method: 'POST', body, headers: { Accept: 'text/html' } });
    swap(await answer.text(), true);
    if (answer.ok) {
      announce.textContent = `Done: ${(e.submitter?.getAttribute('aria-label') || e.submitter?.textContent || '').trim()}`;
      if (form.id !== 'keep' && !form.closest('[data-live]')) form.reset();
    }
  } catch {
    fail('The tenant does not answer.');
  }
}

// tick moves the displayed time, which the tenant's answers correct.
function tick() {
  const now = document.getElementById('now');
  if (!now || 'frozen' in now.dataset) return;
  const at = new Date(now.dateTime).getTime() + 1000;
  now.dateTime = new Date(at).toISOString();
  now.textContent = now.dateTime.slice(11, 19);
}

const pause = document.getElementById('pause');
if (pause) {
  pause.hidden = false;
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    pause.textContent = paused ? 'Continue' : 'Pause';
    schedule();
  });
}

document.addEventListener('submit', submit);
document.addEventListener('input', (e) => {
  const part = e.target.closest('[data-live]');
  if (part) part.dataset.dirty = 'true';
});
document.addEventListener('pointerdown', () => { pressed = true; });
for (const end of ['pointerup', 'pointercancel']) document.addEventListener(end, () => setTimeout(() => { pressed = false; }));
// A hidden tab leaves its connection to others: browsers allow six per host.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) events.close(); else follow();
});
mark();
follow();
setInterval(tick, 1000);
