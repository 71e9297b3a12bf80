/* A line that is drawn by hand from one box to another: "start another step", for who has a mouse or a pen. */

const SVG = "http://www.w3.org/2000/svg";
const FAR = 6; // pixels from which on a press is no click any more

/**
 * @param {HTMLElement} host  holds the drawing, however often it is drawn anew
 * @param {(from: string, to: string) => void} connect  hears the keys of the box where a line begins and of the
 *   one where it ends; of one that leads to no other box it hears nothing
 */
export function draggable(host, connect) {
  /** @type {{ from: string, x: number, y: number, line: SVGLineElement | null } | null} */
  let drag = null;
  let dragged = false;

  function end() {
    drag?.line?.remove();
    drag = null;
    aim(null);
    host.classList.remove("ling-dragging");
  }

  /* The box that the line would lead to. */
  function aim(box) {
    for (const each of host.querySelectorAll(".ling-aimed")) each.classList.toggle("ling-aimed", each === box);
    box?.classList.add("ling-aimed");
  }

  function targetOf(event) {
    const box = document.elementFromPoint(event.clientX, event.clientY)?.closest(".ling-box");
    return box && host.contains(box) && box.dataset.key !== drag.from ? box : null;
  }

  host.addEventListener("pointerdown", (event) => {
    end();
    dragged = false;
    const box = event.target.closest?.(".ling-box");
    if (!box || event.button || event.pointerType === "touch") return; // a finger scrolls
    drag = { from: box.dataset.key, x: event.clientX, y: event.clientY, line: null };
  });

  host.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (!event.buttons) return end(); // it was let go where nobody heard of it
    if (!drag.line && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < FAR) return;
    const box = host.querySelector(`.ling-box[data-key="${CSS.escape(drag.from)}"]`);
    if (!box) return end(); // its step has been removed meanwhile
    if (!drag.line) {
      host.setPointerCapture(event.pointerId);
      host.classList.add("ling-dragging");
      drag.line = document.createElementNS(SVG, "line");
      drag.line.setAttribute("class", "ling-drag");
      dragged = true;
    }
    draw(drag.line, box, event);
    aim(targetOf(event));
  });

  host.addEventListener("pointerup", (event) => {
    const [from, box] = drag?.line ? [drag.from, targetOf(event)] : ["", null];
    end();
    if (box) connect(from, box.dataset.key);
  });
  host.addEventListener("pointercancel", end);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && drag?.line) end();
  });

  // The click that follows would choose what lies between the boxes.
  host.addEventListener("click", (event) => dragged && event.stopImmediatePropagation(), { capture: true });
}

/* From the middle of a box to the pointer. The drawing may have been made anew since the last one. */
function draw(line, box, { clientX, clientY }) {
  const picture = box.ownerSVGElement;
  const { x, y, width, height } = box.querySelector("rect").getBBox();
  const to = new DOMPoint(clientX, clientY).matrixTransform(picture.getScreenCTM().inverse());
  const ends = { x1: x + width / 2, y1: y + height / 2, x2: to.x, y2: to.y };
  for (const [name, value] of Object.entries(ends)) line.setAttribute(name, String(value));
  if (line.parentNode !== picture) picture.append(line);
}
