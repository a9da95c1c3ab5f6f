// The page inside a notebook: a frame without an address, in which a link to a fragment would leave
// the page, and whose name says what is to be open.

export function followLinksByHand() {
  if (location.protocol !== "about:") return;
  if (window.name.startsWith("#/")) location.hash = window.name;
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    location.hash = link.getAttribute("href");
  });
}
