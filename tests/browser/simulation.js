// Runs a page's script for many visitors who opened it at second 0, in a time that passes as fast as the events come.
// From second `opens` on HEAD says that the site is back; a page that returns before `stillClosed` finds the closed site again.
async ({script, visitors, first, factor, cap, opens, retryAfter, stillClosed = 0, storage}) => {
  let now = 0, serial = 0, seed = 1;
  const queue = new Map(), asks = [], returns = [];
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let value = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
  const maths = Object.create(Math, {random: {value: random}});
  class Clock extends Date {
    static now() { return 1796086800000 + 1000 * now; }
  }
  const later = (act, milliseconds) => { queue.set(++serial, {at: now + milliseconds / 1000, act}); return serial; };
  const cancel = id => queue.delete(id);

  const visit = (visitor, stored) => {
    const page = {dataset: {first, factor, cap, away: '502 503 504'}, lang: 'en'};
    const watch = {textContent: '', dataset: {waiting: 'waiting', overdue: 'overdue'}};
    const document = {
      documentElement: page, hidden: false, addEventListener: () => {}, querySelectorAll: () => [],
      querySelector: selector => (selector === '.watch' ? watch : null),
    };
    const location = {
      href: 'https://shop.example/', hash: '',
      replace: () => {
        returns[visitor].push(now);
        if (now < stillClosed) visit(visitor, stored);
      },
    };
    const sessionStorage = {
      getItem: name => stored[name] ?? null,
      setItem: (name, value) => {
        if (!storage) throw new Error('no storage');
        stored[name] = value;
      },
    };
    const fetch = async () => {
      asks[visitor].push(now);
      return {status: now < opens ? 503 : 200, headers: {get: () => retryAfter || null}};
    };
    new Function('document', 'location', 'sessionStorage', 'fetch', 'setTimeout', 'clearTimeout', 'Math', 'Date', script)(
      document, location, sessionStorage, fetch, later, cancel, maths, Clock,
    );
  };
  for (let visitor = 0; visitor < visitors; visitor++) {
    asks.push([]);
    returns.push([]);
    visit(visitor, {});
  }
  while (queue.size) {
    const [id, next] = [...queue].reduce((soonest, one) => (one[1].at < soonest[1].at ? one : soonest));
    queue.delete(id);
    now = next.at;
    next.act();
    await new Promise(done => queueMicrotask(() => queueMicrotask(() => queueMicrotask(() => queueMicrotask(done)))));
  }
  return {asks, returns};
}
