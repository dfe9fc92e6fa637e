// The script of tokend's dashboard. The pages are complete without it: it counts times
// down, replaces what has changed on the server, and sends what the buttons do. Texts
// are set as text, never as markup; the page's policy forbids the latter.
'use strict';
(() => {
  const storageKey = 'tokend.csrf'; // of this origin alone: cookies go to every port of a host
  const $ = (id) => document.getElementById(id);
  const data = document.body.dataset;

  if (data.csrf) { // the page that a link opens
    localStorage.setItem(storageKey, data.csrf);
    location.replace('/');
    return;
  }

  // Times.

  const skew = Number(data.now) - Date.now(); // of the server's clock
  const now = () => Date.now() + skew;

  // long is a duration in two units, as in dashboard.go.
  function long(s) {
    const two = (a, unit, b, smaller) => `${a} ${unit}` + (b ? ` ${b} ${smaller}` : '');
    const part = (n, unit) => Math.floor((s % n) / unit);
    if (s < 60) return `${s} s`;
    if (s < 3600) return two(Math.floor(s / 60), 'min', s % 60, 's');
    if (s < 86400) return two(Math.floor(s / 3600), 'h', part(3600, 60), 'min');
    if (s < 7 * 86400) return two(Math.floor(s / 86400), 'd', part(86400, 3600), 'h');
    return `${Math.floor(s / 86400)} d`;
  }

  function tick() {
    for (const t of document.querySelectorAll('time')) {
      const s = Math.round((Date.parse(t.dateTime) - now()) / 1000);
      const text = s > 0 ? `in ${long(s)}` : 'due' in t.dataset ? 'now' : `${long(-s)} ago`;
      if (t.textContent !== text) t.textContent = text;
    }
    for (const bar of document.querySelectorAll('.life')) {
      const from = Number(bar.dataset.from), to = Number(bar.dataset.to);
      const left = to > from ? Math.max(0, Math.min(100, (100 * (to - now() / 1000)) / (to - from))) : 0;
      bar.firstElementChild.setAttribute('width', left.toFixed(1));
    }
  }
  setInterval(tick, 1000);

  // A time in full is for the mouse: to format one takes longer than to show the page.
  document.addEventListener('pointerover', (e) => {
    const t = e.target.closest && e.target.closest('time');
    if (t && !t.title) t.title = new Date(t.dateTime).toLocaleString();
  });

  // afterPaint runs f when the page was painted, or will not be.
  function afterPaint(f) {
    let done = false;
    const once = () => { if (!done) { done = true; f(); } };
    requestAnimationFrame(() => setTimeout(once));
    setTimeout(once, 300); // a tab in the background is not painted
  }

  // Messages.

  let hiding;
  function say(text, hint = '', bad = false, stays = bad ? 20000 : 6000) {
    const box = $('notice'), p = document.createElement('p'), b = document.createElement('b');
    b.textContent = text;
    p.append(b, hint);
    box.className = bad ? 'notice bad' : 'notice';
    box.replaceChildren(p);
    clearTimeout(hiding);
    hiding = setTimeout(() => box.replaceChildren(), stays);
  }

  function banner(text) {
    $('banner').textContent = text;
    $('banner').hidden = !text;
  }

  function live(text, how) {
    if ($('live').textContent === text) return;
    $('live').textContent = text;
    $('live').className = `live ${how}`;
  }

  // What has changed on the server.

  // load gets this page again, as a document: its scripts do not run.
  function load() {
    return new Promise((resolve, reject) => {
      const r = new XMLHttpRequest();
      r.open('GET', location.href);
      r.responseType = 'document';
      r.timeout = 15000;
      r.onload = () => (r.status === 200 && r.response ? resolve(r.response) : reject(Object.assign(new Error(), { status: r.status })));
      r.onerror = r.ontimeout = () => reject(Object.assign(new Error(), { status: 0 }));
      r.send();
    });
  }

  // swap replaces an element and keeps the focus in it.
  function swap(old, fresh) {
    const focused = old.contains(document.activeElement) ? document.activeElement.id : '';
    old.replaceWith(document.adoptNode(fresh));
    if (focused && $(focused)) $(focused).focus();
  }

  const rows = (part) => [...part.querySelectorAll('[data-v]')];
  const names = (part) => rows(part).map((row) => row.id).join(' ');

  function patch(fresh) {
    for (const part of [...fresh.querySelectorAll('[data-part]')]) {
      const old = $(part.id);
      if (!old) continue;
      if (part.dataset.v) {
        if (part.dataset.v !== old.dataset.v) swap(old, part);
      } else if (rows(part).length && names(part) === names(old)) {
        for (const row of rows(part)) {
          if (row.dataset.v !== $(row.id).dataset.v) swap($(row.id), row);
        }
      } else if (part.textContent !== old.textContent || rows(part).length) {
        swap(old, part);
      }
    }
    document.title = fresh.title;
    if (fresh.body.dataset.process !== data.process) {
      data.process = fresh.body.dataset.process;
      say('tokend was restarted.', ' This page is connected to it again, and shows its present state.', false, 30000);
    }
    tick();
  }

  let loading = false, again = false, timer;

  // update shows the present state, at most about once a second.
  async function update() {
    if (loading) { again = true; return; }
    loading = true;
    try {
      patch(await load());
    } catch (e) {
      if (e.status === 401) return over();
    } finally {
      loading = false;
    }
    if (again) { again = false; clearTimeout(timer); timer = setTimeout(update, 1000); }
  }

  // over is the end of the session.
  let ended = false;
  function over() {
    ended = true;
    if (source) source.close();
    live('Not live', 'off');
    banner('The session has ended. To open the dashboard again, run: tokend dashboard');
  }

  let source, retry;

  function connect() {
    clearTimeout(retry);
    if (ended || (source && source.readyState !== EventSource.CLOSED)) return;
    source = new EventSource('/dashboard/events');
    source.onopen = () => {
      banner('');
      live('Live', 'on');
      update(); // what has happened before
    };
    source.onerror = () => {
      live('Reconnecting', 'off');
      source.close();
      retry = setTimeout(probe, 300);
    };
    for (const type of ['refreshed', 'degraded', 'refresh_failing', 'login_required', 'resumed', 'grant_ending', 'missed']) {
      source.addEventListener(type, (e) => happened(type, JSON.parse(e.data)));
    }
  }

  // probe finds out whether the session has ended, and connects again.
  async function probe() {
    if (ended) return;
    try {
      await load();
    } catch (e) {
      if (e.status === 401) return over();
      if (e.status !== 200) {
        banner('tokend does not answer. This page tries again until it does.');
        retry = setTimeout(probe, 1500);
        return;
      }
    }
    connect();
  }

  function happened(type, e) {
    update();
    if (type === 'refreshed' && waiting === e.client) {
      waiting = '';
      $('login').close();
      say(`${e.client} is logged in.`);
    } else if (type === 'login_required' || type === 'refresh_failing') {
      say(`${e.client}: ${type === 'login_required' ? 'login required' : 'no token'}`, (e.failure && e.failure.hint) ? ` ${e.failure.hint}` : '', true);
    }
  }

  if (data.live) {
    afterPaint(connect);
    setInterval(() => { if (!document.hidden && !ended) update(); }, 30000); // what has no event
    let pausing;
    const pause = () => { // a browser has six connections to a host, for all its tabs
      if (waiting) { pausing = setTimeout(pause, 60000); return; }
      if (source) source.close();
      clearTimeout(retry);
      if (!ended) live('Paused', '');
    };
    document.addEventListener('visibilitychange', () => {
      clearTimeout(pausing);
      if (document.hidden) pausing = setTimeout(pause, 60000);
      else connect();
    });
  }

  // Buttons.

  // send sends what a button does and returns the answer; an error says what to do.
  async function send(path, body) {
    let answer;
    try {
      answer = await fetch(path, {
        method: 'POST', body: body && JSON.stringify(body), redirect: 'error',
        headers: { 'Tokend-Csrf': localStorage.getItem(storageKey) || '', Accept: 'application/json' },
      });
    } catch {
      throw { text: 'tokend does not answer.', hint: ' Try again when it does.' };
    }
    const out = await answer.json().catch(() => ({}));
    if (answer.status === 401) over();
    if (!answer.ok) throw { text: out.error_description || `The answer is ${answer.status}.`, hint: out.hint ? ` ${out.hint}` : '' };
    return out;
  }

  // ask waits for the answer of the person.
  function ask(button) {
    const dialog = $('ask');
    $('ask-title').textContent = button.dataset.ask;
    $('ask-text').textContent = button.dataset.text;
    $('ask-yes').textContent = button.dataset.yes;
    dialog.returnValue = 'no';
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true }));
  }

  const path = (client, what) => `/dashboard/clients/${encodeURIComponent(client)}/${what}`;
  let waiting = '', state = ''; // the client that logs in in another tab, and the login's state

  // login begins a login as the client is configured to.
  async function login(client, method) {
    if (method === 'headless') {
      await send(path(client, 'login'), { headless: true });
      return say(`${client} is logged in.`);
    }
    if (method === 'device') {
      await send(path(client, 'login'));
      const there = location.pathname === `/dashboard/clients/${client}`;
      return there ? undefined : location.assign(`/dashboard/clients/${client}`);
    }
    const tab = method === 'browser' ? window.open('about:blank', '_blank') : null; // now: later it would be a pop-up
    try {
      const begun = await send(path(client, 'login'));
      if (!/^https?:/.test(begun.authorize_url)) throw { text: 'The address of the login page is not a web address.', hint: '' };
      [waiting, state] = [client, begun.state];
      $('login-title').textContent = `Log in ${client}`;
      $('login-text').textContent = tab ? 'The login page is open in another tab. When you have logged in there, this closes by itself.'
        : 'Log in on the page behind this link, in a browser on any machine. If it runs here, this closes by itself.';
      $('login-paste').open = !tab;
      $('login-link').href = begun.authorize_url;
      $('address').value = '';
      $('login').showModal();
      if (tab) { tab.opener = null; tab.location.replace(begun.authorize_url); }
    } catch (e) {
      if (tab) tab.close();
      throw e;
    }
  }

  async function act(button) {
    const { act: what, client, method } = button.dataset;
    switch (what) {
      case 'login':
        await login(client, method);
        break;
      case 'token': {
        const token = await send(path(client, 'token'));
        try {
          await navigator.clipboard.writeText(token.access_token);
        } catch {
          throw { text: 'The browser does not let the page copy.', hint: ` Run: tokend token ${client}` };
        }
        return say('Copied.', ` The token is valid for ${long(token.expires_in)}.`);
      }
      case 'close':
        await send('/dashboard/close');
        localStorage.removeItem(storageKey);
        return location.assign('/');
      default:
        await send(path(client, what));
        say({ refresh: `${client} is refreshed.`, resume: `${client} is resumed.`, logout: `${client} is logged out.` }[what]);
    }
    return update();
  }

  async function run(button, what) {
    button.setAttribute('aria-busy', 'true');
    try {
      await what();
    } catch (e) {
      if (!e.text) throw e;
      say(e.text, e.hint, true);
      update();
    } finally {
      button.removeAttribute('aria-busy');
    }
  }

  document.addEventListener('click', async (e) => {
    const button = e.target.closest('button[data-act]');
    if (!button || button.hasAttribute('aria-busy')) return;
    if (button.dataset.ask && !(await ask(button))) return;
    run(button, () => act(button));
  });

  if ($('login')) {
    $('login-close').addEventListener('click', () => $('login').close());
    $('login').addEventListener('close', () => { waiting = ''; });
    $('paste').addEventListener('submit', (e) => {
      e.preventDefault();
      const client = waiting, given = $('address').value.trim();
      run(e.submitter, async () => {
        await send(path(client, 'code'), /^\w+:\/\//.test(given) ? { callback_url: given } : { code: given, state });
        $('login').close();
        say(`${client} is logged in.`);
        await update();
      });
    });
  }

  document.addEventListener('keydown', (e) => {
    const search = document.querySelector('input[type=search]');
    if (e.key === '/' && search && !e.target.closest('input, dialog')) { e.preventDefault(); search.focus(); }
  });
  afterPaint(tick);
})();
