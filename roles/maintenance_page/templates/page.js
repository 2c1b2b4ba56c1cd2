(() => {
  'use strict';
  const page = document.documentElement;
  const first = Number(page.dataset.first);
  const factor = Number(page.dataset.factor);
  const cap = Number(page.dataset.cap);
  const away = page.dataset.away.split(' ').map(Number);

  // Who was sent back in vain, to another host that is still closed for instance, does not start again from the first delay.
  const remembered = () => {
    try {
      const [at, count] = JSON.parse(sessionStorage.getItem('intermission'));
      return Date.now() - at < 2000 * cap ? count : 0;
    } catch (error) {
      return 0;
    }
  };
  const remember = count => {
    try {
      sessionStorage.setItem('intermission', JSON.stringify([Date.now(), count]));
    } catch (error) {
      // Without storage it starts again
    }
  };

  // Full jitter: at any time below a bound that grows, so that pages that were opened together return one by one.
  let timer;
  let tries = remembered();
  const askWithin = seconds => {
    clearTimeout(timer);
    timer = setTimeout(ask, 1000 * seconds * Math.random());
  };
  const bound = () => Math.min(cap, first * factor ** tries);

  const secondsOf = header => (/^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000);

  const goBack = () => {
    remember(tries + 1);
    if (location.hash) {
      // To replace an address by itself only scrolls where it has a fragment; and a reload alone would send a form again.
      history.replaceState(null, '', location.href);
      location.reload();
    } else {
      location.replace(location.href);
    }
  };

  const ask = async () => {
    tries += 1;
    try {
      const answer = await fetch(location.href, {
        method: 'HEAD', cache: 'no-store', redirect: 'manual', credentials: 'same-origin',
      });
      if (!away.includes(answer.status)) {
        goBack();
        return;
      }
      // The site may open before its Retry-After, so that a late one only lets the bound grow faster.
      if (secondsOf(answer.headers.get('Retry-After')) > bound()) tries += 1;
    } catch (error) {
      // The visitor's own network is gone, which is no reason to ask less or to go
    }
    if (!document.hidden) askWithin(bound());
  };

  // In a read-only window the app answers HEAD all the time, and to go would take from visitors the form that they have written.
  if (!document.querySelector('[data-read-only]')) {
    document.addEventListener('visibilitychange', () => {
      clearTimeout(timer);
      if (!document.hidden) askWithin(first);
    });
    if (!document.hidden) askWithin(bound());
  }

  const language = page.lang;
  const locale = navigator.languages.find(name => name.split('-')[0] === language.split('-')[0]) || language;
  const instant = new Intl.DateTimeFormat(locale, {
    weekday: 'long', day: 'numeric', month: 'long', hour: 'numeric', minute: '2-digit', timeZoneName: 'short',
  });
  for (const time of document.querySelectorAll('time')) time.textContent = instant.format(new Date(time.dateTime));

  const watch = document.querySelector('.watch');
  const say = text => {
    // What is said to a screen reader is only what is new
    if (watch.textContent !== text) watch.textContent = text;
  };
  const end = document.querySelector('.end time');
  const left = document.querySelector('.left');
  const distance = new Intl.RelativeTimeFormat(locale);
  const units = [['day', 86400], ['hour', 3600], ['minute', 60]];
  const tell = () => {
    const seconds = end && left ? (Date.parse(end.dateTime) - Date.now()) / 1000 : Infinity;
    const overdue = seconds <= 0;
    if (watch) say(overdue ? watch.dataset.overdue : watch.dataset.waiting);
    if (seconds === Infinity) return;
    const [unit, length] = units.find(([, length]) => seconds >= 2 * length) || ['minute', 60];
    const text = overdue ? '' : `(${distance.format(Math.ceil(seconds / length), unit)})`;
    if (left.textContent !== text) left.textContent = text;
    if (!overdue) setTimeout(tell, 1000);
  };
  tell();
})();
