// The shop itself. Whether or not Signals has come, is blocked or fails, the shop works.
(() => {
  const PRODUCTS = [
    { productId: "mug-blue", name: "Blue mug", category: "mugs", price: 12.5, currency: "EUR" },
    { productId: "mug-red", name: "Red mug", category: "mugs", price: 9.9, currency: "EUR" },
    { productId: "pot", name: "Tea pot", category: "pots", price: 34, currency: "EUR" },
  ];
  const $ = (id) => document.getElementById(id);
  const load = () => { try { return JSON.parse(sessionStorage.getItem("cart") || "[]"); } catch { return held; } };
  let held = [];
  const save = (cart) => { held = cart; try { sessionStorage.setItem("cart", JSON.stringify(cart)); } catch { /* in memory */ } draw(); };
  const line = (product) => ({ ...product, quantity: 1 });

  function draw() {
    const cart = load();
    $("count").textContent = cart.length;
    if ($("products")) $("products").replaceChildren(...PRODUCTS.map(card));
    if ($("lines")) $("lines").replaceChildren(...cart.map(row));
  }

  function card(product) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.textContent = "Add to cart";
    button.setAttribute("aria-label", `Add to cart: ${product.name}`);
    button.onclick = () => {
      save([...load(), product]);
      Signals.addToCart({ items: [line(product)] });
    };
    const name = document.createElement("h2");
    name.textContent = product.name;
    name.onclick = () => Signals.viewProduct(product);
    item.append(name, `${product.price.toFixed(2)} ${product.currency} `, button);
    return item;
  }

  function row(product, place) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.textContent = "Remove";
    button.setAttribute("aria-label", `Remove: ${product.name}`);
    button.onclick = () => {
      save(load().filter((_, each) => each !== place));
      Signals.removeFromCart({ items: [line(product)] });
    };
    item.append(product.name, button);
    return item;
  }

  if ($("sign-in")) $("sign-in").onsubmit = (event) => {
    event.preventDefault();
    Signals.identify({ email: event.target.email.value });
    $("who").textContent = `Hello, ${event.target.email.value}`;
  };
  if ($("buy")) $("buy").onclick = () => {
    Signals.purchaseCart({ orderId: `order-${Date.now()}`, items: load().map(line) });
    save([]);
    $("told").textContent = "Thank you.";
  };
  if ($("clear")) $("clear").onclick = () => {
    Signals.clearCart();
    save([]);
  };
  draw();
  Signals.viewPage();
})();
