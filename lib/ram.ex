defmodule Ram do
  @moduledoc """
  A consistent, distributed ETS table.

  Every node of a cluster holds all the data in memory. Writes go through Raft: when `put/2`
  returns, a majority of the nodes has the change on disk. Reads are linearizable: `get/1` on any
  node shows what was acknowledged on any other before it was called.

      iex> Ram.put({:user, 1}, %{name: "Ada"})
      :ok
      iex> Ram.get({:user, 1})
      %{name: "Ada"}
      iex> Ram.fetch({:user, 2})
      :error

  Keys and values are any term. Keys are equal when they are `===`: `1` and `1.0` are two keys. A
  key must not hold a local function. `Ram.Cluster` makes the cluster when your application starts.

  This is the face of the Erlang module `:ram` for Elixir, with the same data: `:ram.get("k")` reads
  what `Ram.put("k", 1)` wrote.

  ## Errors

  Operations on keys return plain values and raise `Ram.Error` when the system could not do it; its
  `outcome` tells whether a write may have happened all the same. Operations on the cluster return
  `:ok` or `{:error, %Ram.Error{}}`, and have variants with `!` that raise it; on a node that runs
  no member they raise it too, except `start_cluster/2`, `stop_cluster/1` and `status/0`, which may
  be called anywhere. A wrong argument raises `ArgumentError`.

      try do
        Ram.put(key, value)
      rescue
        error in Ram.Error ->
          case error.outcome do
            :not_applied -> retry_elsewhere()
            :unknown -> read_before_retry()
          end
      end
  """

  @type key :: term()
  @type value :: term()
  @typedoc """
  Who may answer a read.

    * `:lease`: linearizable; this node alone while it holds a lease of the leader, at the price of
      an ETS lookup, and a quorum otherwise.
    * `:quorum`: linearizable, whatever clocks do; a round of messages with a majority, shared by
      all reads that wait.
    * `:local`: what this node has, at once, without a majority too. It may be old.
  """
  @type reads :: :ram.reads()
  @type read_option :: {:reads, reads()}
  @type start_option :: {:storage, :disk | :memory} | {:wait_ms, non_neg_integer()}
  @type result :: :ok | {:error, Ram.Error.t()}

  # What :ram raises, as Ram.Error. Not a function with a fun: reads take well below a microsecond.
  defmacrop raising(call) do
    quote do
      try do
        unquote(call)
      catch
        :error, reason -> Ram.Error.reraise(reason, __STACKTRACE__)
      end
    end
  end

  ## Keys

  @doc """
  The value of a key, or `default` when the key is absent.

  The option `reads` says who may answer (`t:reads/0`); without it, it is as the application
  environment of `:ram` says, by default `:lease`. The default comes before options: in
  `Ram.get(key, reads: :local)` the list would be the default, and `fetch/2` needs none.

      iex> Ram.put("colour", :blue)
      iex> Ram.get("colour")
      :blue
      iex> Ram.get("shape")
      nil
      iex> Ram.get("shape", :round, reads: :local)
      :round
  """
  @spec get(key(), default, [read_option()]) :: value() | default when default: term()
  def get(key, default \\ nil, options \\ [])
  def get(key, default, []), do: raising(:ram.get(key, default))
  def get(key, default, options), do: raising(:ram.get(key, default, Map.new(options)))

  @doc """
  The value of a key as `{:ok, value}`, or `:error` when the key is absent.

  Options as those of `get/3`.

      iex> Ram.put(:answer, nil)
      iex> Ram.fetch(:answer)
      {:ok, nil}
      iex> Ram.fetch(:question, reads: :quorum)
      :error
  """
  @spec fetch(key(), [read_option()]) :: {:ok, value()} | :error
  def fetch(key, options \\ [])
  def fetch(key, []), do: raising(:ram.fetch(key))
  def fetch(key, options), do: raising(:ram.fetch(key, Map.new(options)))

  @doc """
  The value of a key; raises `KeyError` when the key is absent.

  Options as those of `get/3`.

      iex> Ram.put(:answer, 42)
      iex> Ram.fetch!(:answer)
      42
      iex> Ram.fetch!(:question)
      ** (KeyError) key :question not found in ram
  """
  @spec fetch!(key(), [read_option()]) :: value()
  def fetch!(key, options \\ []) do
    case fetch(key, options) do
      {:ok, value} -> value
      :error -> raise KeyError, key: key, message: "key #{inspect(key)} not found in ram"
    end
  end

  @doc """
  Sets the value of a key.

      iex> Ram.put({:session, "4f1c"}, %{user: 1})
      :ok
  """
  @spec put(key(), value()) :: :ok
  def put(key, value), do: raising(:ram.put(key, value))

  @doc """
  Sets several keys at once, from a map or any enumerable of pairs: all or none, and nobody sees
  some of them set and others not yet.

  All travel in one log entry, so this costs about as much as one `put/2`. Of a key that comes twice
  the last value stays. All together may have as many bytes as the largest key and value; more is a
  `Ram.Error` with the reason `{:batch_too_large, bytes_max}`.

      iex> Ram.put_many(%{ada: 36, bob: 25})
      :ok
      iex> Ram.get(:ada)
      36
      iex> Ram.put_many(for n <- 1..3, do: {{:square, n}, n * n})
      :ok
      iex> Ram.get({:square, 3})
      9
  """
  @spec put_many(Enumerable.t()) :: :ok
  def put_many(entries) do
    entries = Enum.to_list(entries)
    raising(:ram.put_many(entries))
  end

  @doc """
  Sets a key to `fun.(value)` atomically; an absent key to `default`, without calling `fun`.

  `fun` runs in the calling process, and again when another node changed the key meanwhile, so it
  should have no side effects. It must not update the same key. What its last run raises is raised
  here, and nothing is changed then.

      iex> Ram.update(:visits, 1, &(&1 + 1))
      :ok
      iex> Ram.update(:visits, 1, &(&1 + 1))
      :ok
      iex> Ram.get(:visits)
      2
  """
  @spec update(key(), default :: value(), (value() -> value())) :: :ok
  def update(key, default, fun), do: raising(:ram.update(key, default, fun))

  @doc """
  Deletes a key; one that is absent is no error.

      iex> Ram.put(:short, :lived)
      iex> Ram.delete(:short)
      :ok
      iex> Ram.fetch(:short)
      :error
  """
  @spec delete(key()) :: :ok
  def delete(key), do: raising(:ram.delete(key))

  @doc """
  Deletes several keys at once, as `put_many/1` sets them; those that are absent are no error.

      iex> Ram.put_many(one: 1, two: 2)
      iex> Ram.delete_many([:one, :two, :three])
      :ok
      iex> Ram.fetch(:one)
      :error
  """
  @spec delete_many(Enumerable.t()) :: :ok
  def delete_many(keys) do
    keys = Enum.to_list(keys)
    raising(:ram.delete_many(keys))
  end

  @doc """
  Whether a write that failed so may have happened: the `outcome` of a `Ram.Error`, also for a bare
  reason of `:ram`.

  `:not_applied`: it did not happen and never will. `:unknown`: it may have happened, or may still;
  to find out, read the key. For whatever is not a reason of ram it is `:unknown`.

      iex> Ram.outcome(:noproc)
      :not_applied
      iex> Ram.outcome(Ram.Error.exception({:timeout, {:ram, node()}}))
      :unknown
  """
  @spec outcome(Ram.Error.t() | term()) :: :not_applied | :unknown
  def outcome(%Ram.Error{outcome: outcome}), do: outcome
  def outcome(reason), do: :ram.outcome(reason)

  ## Cluster

  @doc """
  Starts the application `:ram` and what it needs.

  Not needed where `:ram` is a dependency of your own application. Raises `Ram.Error` when the
  configuration is wrong.
  """
  @spec start() :: :ok
  def start do
    :ram.start()
  catch
    :error, reason -> raise Ram.Error, reason
  end

  @doc """
  Stops the application `:ram` on this node; the data stays. A leader hands its lead over first.
  """
  @spec stop() :: result()
  def stop, do: result(:ram.stop())

  @doc """
  Finds the cluster of these nodes, or makes it, starting the application on them as needed.

  May be called at every start, on every node, in any order; `Ram.Cluster` does so in a supervision
  tree. Options:

    * `storage`: `:disk` or `:memory`, for all of the nodes. Without it the setting of the first
      node counts, which is `:disk` unless it says otherwise.
    * `wait_ms`: for how long nodes that cannot be reached, or a majority, are waited for; 0 to be
      told at once, 30000 by default.

  Each reason names the node that is at fault: `{:unreachable, nodes}`,
  `{:not_reached, node, address, cause}`, `{:already_clustered, nodes}`, `{:failed, node, reason}`
  and others. `{:running_on, nodes, reason}` with this node in `nodes` says that this node serves
  and another needs a hand.

      iex> Ram.start_cluster([node()])
      :ok
  """
  @spec start_cluster([node()], [start_option()]) :: result()
  def start_cluster(nodes, options \\ []) do
    options = Map.new(options)
    result(raising(:ram.start_cluster(nodes, options)))
  end

  @doc "As `start_cluster/2`; raises the `Ram.Error`."
  @spec start_cluster!([node()], [start_option()]) :: :ok
  def start_cluster!(nodes, options \\ []), do: bang(start_cluster(nodes, options))

  @doc """
  Stops the members on these nodes and deletes their data.
  """
  @spec stop_cluster([node()]) :: result()
  def stop_cluster(nodes), do: result(raising(:ram.stop_cluster(nodes)))

  @doc "As `stop_cluster/1`; raises the `Ram.Error`."
  @spec stop_cluster!([node()]) :: :ok
  def stop_cluster!(nodes), do: bang(stop_cluster(nodes))

  @doc """
  Makes a node a member of the cluster of this node.

  Returns when it is a full member that has caught up: up to ten minutes. Until then the others need
  it for nothing. A node that lost its data comes back as a new member.
  """
  @spec add_node(node()) :: result()
  def add_node(node), do: result(raising(:ram.add_node(node)))

  @doc "As `add_node/1`; raises the `Ram.Error`."
  @spec add_node!(node()) :: :ok
  def add_node!(node), do: bang(add_node(node))

  @doc """
  Takes a node out of the cluster and deletes its data there.

  Also one that is down, and the leader, also by itself; not the last member.
  """
  @spec remove_node(node()) :: result()
  def remove_node(node), do: result(raising(:ram.remove_node(node)))

  @doc "As `remove_node/1`; raises the `Ram.Error`."
  @spec remove_node!(node()) :: :ok
  def remove_node!(node), do: bang(remove_node(node))

  @doc "Takes the node `new` in and `dead` out."
  @spec replace_node(dead :: node(), new :: node()) :: result()
  def replace_node(dead, new), do: result(raising(:ram.replace_node(dead, new)))

  @doc "As `replace_node/2`; raises the `Ram.Error`."
  @spec replace_node!(dead :: node(), new :: node()) :: :ok
  def replace_node!(dead, new), do: bang(replace_node(dead, new))

  @doc """
  The way out when a majority of the members is lost for good: data may be lost.

  Options, both required: `survivors`, the nodes that are left, and `confirm`, the id of the cluster
  as `status/0` tells it under `cluster`. `:ram.force_recover/1` says what happens to whose data.

      Ram.force_recover(survivors: [node()], confirm: Ram.status().cluster)
  """
  @spec force_recover(survivors: [node()], confirm: binary()) ::
          {:ok, map()} | {:error, Ram.Error.t()}
  def force_recover(options) do
    options = Map.new(options)
    result(raising(:ram.force_recover(options)))
  end

  @doc "As `force_recover/1`; returns the report, or raises the `Ram.Error`."
  @spec force_recover!(survivors: [node()], confirm: binary()) :: map()
  def force_recover!(options), do: bang(force_recover(options))

  @doc """
  Starts the member of this node again after it failed or was stopped.
  """
  @spec restart_server() :: result()
  def restart_server, do: result(raising(:ram.restart_server()))

  @doc "As `restart_server/0`; raises the `Ram.Error`."
  @spec restart_server!() :: :ok
  def restart_server!, do: bang(restart_server())

  @doc """
  The members of the cluster, as this node knows them, sorted.

      iex> Ram.nodes()
      [node()]
  """
  @spec nodes() :: [node()]
  def nodes, do: raising(:ram.nodes())

  @doc """
  The node that leads the cluster, as this node knows it; `nil` while none is elected.

      iex> Ram.leader()
      node()
  """
  @spec leader() :: node() | nil
  def leader do
    case raising(:ram.leader()) do
      :undefined -> nil
      node -> node
    end
  end

  @doc """
  What this node knows of itself and its cluster, and why it runs no member when it runs none. Never
  raises. `:ram.status/0` tells what is in it.

      iex> %{role: :leader, storage: storage} = Ram.status()
      iex> storage
      :memory
  """
  @spec status() :: map()
  def status, do: :ram.status()

  ## Backups

  @doc """
  Writes all keys and values of one moment into a new file on this node, while reads and writes go
  on.

  `{:error, error}` with the reason `{:file, text}` when the file exists, its folder does not, or
  the disk failed.
  """
  @spec backup(Path.t()) :: result()
  def backup(file), do: result(raising(:ram.backup(path(file))))

  @doc "As `backup/1`; raises the `Ram.Error`."
  @spec backup!(Path.t()) :: :ok
  def backup!(file), do: bang(backup(file))

  @doc """
  Puts all that a backup holds into this cluster, which must be empty.

  The whole file is verified before the first put. Nobody should write until it returns. With the
  reason `{:partly, restored, total, reason}` it failed half-way: `stop_cluster/1`,
  `start_cluster/2` and another `restore/1` begin afresh.
  """
  @spec restore(Path.t()) :: result()
  def restore(file), do: result(raising(:ram.restore(path(file))))

  @doc "As `restore/1`; raises the `Ram.Error`."
  @spec restore!(Path.t()) :: :ok
  def restore!(file), do: bang(restore(file))

  # Erlang takes text or a binary, not both in one.
  defp path(file) when is_list(file), do: IO.chardata_to_string(file)
  defp path(file), do: file

  defp result({:error, reason}), do: {:error, Ram.Error.exception(reason)}
  defp result(done), do: done

  defp bang(:ok), do: :ok
  defp bang({:ok, value}), do: value
  defp bang({:error, error}), do: raise(error)
end
