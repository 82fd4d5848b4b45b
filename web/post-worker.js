// The worker of the post's page: the page and its files work where there is no signal.
//
// Files lie under the digest of their program and never change, so they are taken from the store; the page itself is asked
// for first and taken from the store when nobody answers. Data are never stored here: what a post has not sent yet is
// kept by the page (lib/outbox.js).

/** So long the page itself is waited for. */
const PATIENCE_MS = 3000;
const FILES = [/* every file */];
/** One store a program: its digest stands in the address of each file. */
const STORE = `muster-${FILES[0]?.split('/')[2]}`;

self.addEventListener('install', (event) => {
  event.waitUntil((async () => {
    const store = await caches.open(STORE);
    await store.addAll(['/post', '/post.webmanifest', ...FILES]);
    await self.skipWaiting();
  })());
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== STORE) await caches.delete(name);
    await self.clients.claim();
  })());
});

self.addEventListener('fetch', (event) => {
  const { pathname } = new URL(event.request.url);
  if (event.request.method !== 'GET' || pathname.startsWith('/v1/')) return;
  if (pathname.startsWith('/app/')) event.respondWith(stored(event.request));
  else if (pathname === '/post' || pathname === '/post.webmanifest') event.respondWith(asked(event.request));
});

async function stored(request) {
  return (await caches.match(request)) ?? fetch(request);
}

async function asked(request) {
  try {
    // In a dead spot a request may hang; the page is here already.
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.ok) await (await caches.open(STORE)).put(request, answer.clone());
    return answer;
  } catch (cause) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw cause;
  }
}
