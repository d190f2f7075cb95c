defmodule UsesRam do
  def main do
    :ok = Ram.start_cluster([node()])
    :ok = Ram.put("k", %{a: 1})
    %{a: 1} = :ram.get("k")
    nil = Ram.get("other")
    IO.puts("got what was put")
  end
end
