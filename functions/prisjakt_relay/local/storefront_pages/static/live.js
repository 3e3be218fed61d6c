'use strict';
// What Prisjakt received and what the functions said, asked for every second while somebody looks.
{
  const state = document.getElementById('live-state');
  let last = '';
  let known;

  const cell = (row, text, kind = '') => {
    const made = row.insertCell();
    made.textContent = text ?? '';
    if (kind) made.className = kind;
    return made;
  };
  const event = (row, each) => {
    const badge = document.createElement('span');
    badge.className = `badge ${each.event_name}`;
    badge.textContent = each.event_name;
    cell(row, '').append(badge);
    cell(row, `${each.amount} ${each.currency}`, 'number');
    cell(row, each.items, 'number');
    cell(row, each.reference).title = each.shop;
    const id = cell(row, each.click_id.length > 20 ? `${each.click_id.slice(0, 13)}…` : each.click_id, 'id');
    id.title = each.click_id;
    cell(row, each.event_time);
    cell(row, each.received_at);
    cell(row, each.corrections || '', 'number');
  };
  const line = (row, each) => {
    cell(row, each.time);
    cell(row, each.service);
    const badge = document.createElement('span');
    badge.className = `badge ${each.message}`;
    badge.textContent = each.message;
    cell(row, '').append(badge);
    cell(row, [each.reason, each.cause, each.standing, each.topic, each.problem, each.answer_title].filter(Boolean).join(', '));
    cell(row, each.shop);
    cell(row, each.order_id);
  };
  const fill = (name, entries, draw, isNew) => {
    const body = document.getElementById(name);
    if (!body) return;
    body.replaceChildren();
    for (const each of entries) {
      const row = body.insertRow();
      draw(row, each);
      if (isNew(each)) row.className = 'new';
    }
    document.getElementById(`no-${name}`).hidden = entries.length > 0;
  };

  const look = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch('/prisjakt.json', { cache: 'no-store' });
        const text = await answer.text();
        if (text !== last) {
          const seen = JSON.parse(text);
          const mark = (each) => `${each.id} ${each.amount} ${each.corrections}`;
          fill('events', seen.events, event, (each) => known && !known.has(mark(each)));
          fill('lines', seen.lines, line, () => false);
          known = new Set(seen.events.map(mark));
          last = text;
        }
        state.textContent = 'live';
        state.className = 'state on';
      } catch {
        state.textContent = 'the local system does not answer';
        state.className = 'state off';
      }
    }
    setTimeout(look, 1000);
  };
  look();
}
