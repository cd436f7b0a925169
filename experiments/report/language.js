// Exchanges the words of a report, and of the viewers in it, for those of another language.
const tags = { en: "en", zh: "zh-Hans" };
const root = document.documentElement;
const select = document.getElementById("language");
const frames = [...document.querySelectorAll("iframe")];
const opening = select.value;

const tell = (frame) => frame.contentWindow.postMessage({ attentionLanguage: select.value }, "*");

function speak(language) {
  root.lang = tags[language];
  select.value = language;
  for (const each of document.querySelectorAll("[data-zh]")) each.textContent = each.dataset[language];
  for (const each of document.querySelectorAll("[data-attribute]")) {
    const { attribute, labelEn, labelZh } = each.dataset;
    each.setAttribute(attribute, language === "zh" ? labelZh : labelEn);
  }
  frames.forEach(tell);
}

// The address keeps the choice.
function restore() {
  const named = new URLSearchParams(location.hash.slice(1)).get("language");
  speak(Object.hasOwn(tags, named) ? named : opening);
}

select.parentElement.hidden = false;
select.addEventListener("change", () => {
  history.replaceState(null, "", select.value === opening ? "#" : `#language=${select.value}`);
  speak(select.value);
});
for (const frame of frames) frame.addEventListener("load", () => tell(frame));
addEventListener("hashchange", restore);
restore();
