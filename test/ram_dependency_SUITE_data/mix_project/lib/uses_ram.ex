defmodule UsesRam do
  def main do
    :ok = :ram.start_cluster([node()])
    :ok = :ram.put("k", %{a: 1})
    %{a: 1} = :ram.get("k")
    nil = :ram.get("other", nil)
    IO.puts("got what was put")
  end
end
