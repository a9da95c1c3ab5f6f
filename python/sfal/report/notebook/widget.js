// A page in a frame of its own, which shares no style, script or storage with the notebook.

function framed(html, opened) {
  const frame = document.createElement("iframe");
  frame.title = "SFAL report";
  frame.name = opened;
  frame.setAttribute("sandbox", "allow-scripts allow-downloads allow-popups");
  frame.style.cssText = "width: 100%; border: 1px solid #8884; border-radius: 6px; background: Canvas";
  frame.srcdoc = html;
  return frame;
}

function render({ model, el }) {
  const resize = () => {
    el.firstChild.style.height = `${model.get("height")}px`;
  };
  // A frame keeps the name that it was made with.
  const draw = () => {
    el.replaceChildren(framed(model.get("html"), model.get("opened")));
    resize();
  };
  draw();
  const listeners = { "change:html": draw, "change:opened": draw, "change:height": resize };
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
  };
}

export default { render };
