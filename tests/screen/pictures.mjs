// The pictures of the README: a city with much to do, looked at in both languages, by day and by night.

import { get, open, post, quietCity, report, sleep, until } from './kit.mjs';

export const title = 'pictures of the screen';

const HAPPENINGS = [
  ['商场冒烟 有明火 有人被困', 'lotus-plaza'], ['老人晕倒 叫不醒', [112.609, 26.883]], ['有人持刀', [112.605, 26.902]], ['邻居噪音扰民', [112.57, 26.893]],
  ['烧烤摊有人打架', [112.633, 26.902]], ['刷单被骗', [112.583, 26.881]], ['楼道里电动车起火 有人被困', [112.612, 26.922]], ['路边有人昏迷', [112.64, 26.872]],
  ['孕妇临产 需要救护车', [112.602, 26.868]], ['垃圾桶着火 没有人受伤', [112.648, 26.892]], ['有人胸口疼 呼吸困难', [112.598, 26.848]], ['两车相撞 有人受伤', [112.66, 26.88]],
  ['小孩走失', [112.588, 26.838]], ['煤气泄漏 味道很大', [112.59, 26.902]], ['有人跳河', [112.613, 26.908]], ['超市门口有人吵架', [112.628, 26.884]],
  ['配电箱冒火花', [112.555, 26.898]], ['电梯困人', [112.6, 26.895]], ['KTV 音响扰民', [112.62, 26.945]], ['有人抽搐 口吐白沫', [112.5705, 26.886]],
];

export async function run({ browser, faults, picture }) {
  const city = await quietCity(6);
  try {
    const { base } = city;
    const ids = [];
    for (const [text, at] of HAPPENINGS) {
      const place = Array.isArray(at) ? { position: { lon: at[0], lat: at[1] } } : { id: at };
      ids.push((await report(base, { text, place })).incident);
      await sleep(250);
    }
    await report(base, { text: '商场冒烟 看到明火', place: { id: 'lotus-plaza' } });
    await report(base, { text: '消防演练 仓库冒烟', status: 'exercise', place: { position: { lon: 112.632, lat: 26.962 } } });
    let n = 0;
    const act = (order, what) => post(base, '/v1/acts', 'muster.act', { order: order.id, post: order.post, act: what }, 'terminal/picture').catch(() => {});
    for (const card of (await get(base, '/v1/cards')).items) for (const order of card.orders) {
      n += 1;
      if (n % 5 === 0) continue;
      await act(order, 'signed');
      if (n % 3 === 0) { await act(order, 'en_route'); await act(order, 'on_scene'); }
      if (n % 6 === 0) await act(order, 'first_report');
    }
    await sleep(3000);
    const look = async (locale, theme, size) => {
      const context = await browser.newContext({ locale, viewport: size });
      await context.addInitScript((kept) => localStorage.setItem('muster.theme', kept), theme);
      return context;
    };
    const wide = { width: 1440, height: 860 };
    const night = await look('zh-CN', 'night', wide);
    const centre = await open(night, `${base}/`, faults);
    await until('live', () => centre.locator('#freshness.fresh').count());
    await centre.keyboard.press('j');
    await until('the incident', () => centre.locator('.timeline li').count());
    await picture(centre, 'centre-zh');
    await centre.keyboard.press('2');
    await picture(centre, 'map-zh');
    const day = await open(await look('en', 'day', wide), `${base}/`, faults);
    await until('live', () => day.locator('#freshness.fresh').count());
    await day.keyboard.press('j');
    await until('the incident', () => day.locator('.timeline li').count());
    await picture(day, 'centre-en');
    const waiting = (await get(base, '/v1/orders?state=issued&limit=50')).items.pop() ?? (await get(base, '/v1/orders?state=live')).items[0];
    for (const [locale, theme, name] of [['zh-CN', 'night', 'phone-zh'], ['en', 'day', 'phone-en']]) {
      const phone = await open(await look(locale, theme, { width: 400, height: 780 }), `${base}/post?post=${waiting.post}`, faults);
      await until('the order', () => phone.locator('.order h1').count());
      await picture(phone, name);
    }
    return `${ids.length} incidents`;
  } finally {
    await city.end();
  }
}
