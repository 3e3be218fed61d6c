'use strict';
// How far an order has come: each webhook and its answer, then what Prisjakt holds.
{
  const steps = document.getElementById('steps');
  const { state, elsewhere, carries, explain } = steps.dataset;
  const first = steps.firstElementChild;
  const began = Date.now();
  let last = '';

  const step = (kind, name, text) => {
    const item = document.createElement('li');
    item.className = kind;
    const title = document.createElement('b');
    title.textContent = name;
    const said = document.createElement('span');
    said.textContent = text;
    item.append(title, said);
    steps.append(item);
  };
  const draw = (order) => {
    steps.replaceChildren(first);
    for (const sent of order.sent) {
      const name = `Webhook ${sent.topic}`;
      if (sent.outcome === 'lost') step('bad', name, 'lost on its way: the relay never hears of it');
      else if (sent.outcome === 'unsent') step('bad', name, 'not sent: the shop system has no such webhook that is alive');
      else if (sent.status === null) step('waits', name, 'signed and on its way to the relay');
      else if (!sent.status) step('bad', name, 'the relay did not answer');
      else {
        const why = sent.reason ? `, reason ${sent.reason}` : '';
        const kind = sent.outcome === 'queued' ? 'done' : sent.outcome === 'ignored' ? 'ignored' : 'bad';
        step(kind, name, `the relay answered ${sent.status}: ${sent.outcome}${why}`);
      }
    }
    const isQueued = order.sent.some((sent) => sent.outcome === 'queued');
    const said = order.said && !['reported', 'corrected', 'duplicate'].includes(order.said) ? `; the sender says ${order.said}` : '';
    if (order.held) {
      const { event_name, amount, currency, items, corrections } = order.held;
      const changed = corrections ? `, corrected ${corrections === 1 ? 'once' : `${corrections} times`}` : '';
      step('done', 'Prisjakt has it', `${event_name} of ${amount} ${currency}, ${items} item${items === 1 ? '' : 's'}${changed}${said}`);
    } else if (isQueued && elsewhere && order.said) step({ reported: 'done', corrected: 'done', waiting: 'waits' }[order.said] ?? 'ignored', 'Sender', `${order.said}, at ${elsewhere}`);
    else if (isQueued && order.said === 'nothing_to_report') step('ignored', 'Prisjakt', 'learns nothing: the order was void before it was reported');
    else if (isQueued && order.said === 'dead') step('bad', 'Prisjakt', `dead: see ${explain}`);
    else if (isQueued) step('waits', 'Prisjakt', `the order waits in the queue for the sender${said}`);
    else if (carries && order.sent.some((sent) => sent.outcome === 'lost' || sent.outcome === 'unsent')) step('waits', 'Prisjakt', 'learns of it when the order is reconciled');
    else if (order.sent.every((sent) => sent.status)) step('ignored', 'Prisjakt', carries ? 'learns nothing yet' : 'learns nothing of this order');
  };
  const look = async () => {
    try {
      const text = await (await fetch(state, { cache: 'no-store' })).text();
      if (text !== last) draw(JSON.parse(text));
      last = text;
    } catch {
      // The next look may find it.
    }
    if (Date.now() - began < 600_000) setTimeout(look, 500);
  };
  look();
}
