%% @doc A consistent, distributed ETS table.
%%
%% Every node of a cluster holds all the data in memory. Writes go through Raft: when {@link put/2}
%% returns, a majority of the nodes has the change on disk. Reads are linearizable: {@link get/1} on
%% any node shows what was acknowledged on any other before it was called.
%%
%% Keys and values are any term; keys are equal when they are `=:=' (1 and 1.0 are two keys). A key
%% must not hold a local fun. `undefined' is a value like any other; {@link fetch/1} tells it from a
%% key that is absent.
%%
%% == Errors ==
%% Operations on keys return plain values and raise what the system could not do:
%% <ul>
%% <li>`noproc': this node runs no member of a cluster. Nothing happened.</li>
%% <li>`{timeout, {ram, Node}}': no answer came within `call_timeout_ms' (5000 by default), or the
%%     member stopped before it came. A write may have happened, or may still happen; a read did
%%     nothing.</li>
%% <li>`{overloaded, {ram, Node}}': too much is waiting on this node. Nothing happened.</li>
%% <li>`{value_too_large, Bytes, BytesMax}', `{key_too_large, BytesMax}' and
%%     `{batch_too_large, BytesMax}': see the limits in the configuration. Nothing happened.</li>
%% <li>`{unreadable_value, Key}': the OTP of this node has no term for the value: a node with a
%%     newer one put it, as a native record (OTP 29) or another kind of term that came later. The
%%     value stays as it is, and nodes that know such terms read it. Nothing happened.</li>
%% <li>`{no_table, Name}', `{not_an_integer, Key}', `{too_many_tables, TablesMax}',
%%     `{results_too_large, BytesMax}', `{ranges_too_large, EntriesMax}',
%%     `{compared_too_large, StepsMax}', `{conflict, Key}', `{expired, Rev}': see the calls.
%%     Nothing happened.</li>
%% <li>`{unreadable_key, Bytes}': as `unreadable_value', of a key that a scan met.</li>
%% <li>`{unreadable_result, Key}': as `unreadable_value', of the old value that a write answers
%%     with: the write is done.</li>
%% <li>`badarg': a wrong argument, with an explanation.</li>
%% </ul>
%% {@link outcome/1} tells of a reason whether the write may have happened.
%%
%% Operations on the cluster return `ok' or `{error, Reason}'; the reasons are those of
%% `ram_error:cluster_error()'. On a node that runs no member they raise `noproc', except
%% {@link start_cluster/1}, {@link stop_cluster/1} and {@link status/0}, which may be called
%% anywhere.
%%
%% == Example ==
%% ```
%% 1> ram:start_cluster([node()]).
%% ok
%% 2> ram:put(key, #{any => "term"}).
%% ok
%% 3> ram:get(key).
%% #{any => "term"}
%% '''
-module(ram).

-export([start/0, stop/0]).
-export([start_cluster/1, start_cluster/2, stop_cluster/1, restart_server/0]).
-export([add_node/1, remove_node/1, replace_node/2, nodes/0, force_recover/1]).
-export([get/1, get/2, get/3, fetch/1, fetch/2]).
-export([put/2, put/3, put_new/2, put_new/3, cas/3, cas/4, delete/1, delete/2, take/1, take/2]).
-export([touch/2, touch/3, ttl/1, ttl/2]).
-export([update/3, update/4, get_and_update/2, get_and_update/3]).
-export([update_counter/2, update_counter/3, update_counter/4]).
-export([txn/3, txn/4]).
-export([put_many/1, put_many/2, delete_many/1, delete_many/2, delete_range/2, delete_range/3]).
-export([create_table/2, drop_table/1]).
-export([lookup/1, lookup/2, member/1, member/2, get_many/1, get_many/2, size/0, size/1]).
-export([info/1, tables/0]).
-export([transaction/1, transaction/2]).
-export([fold/2, fold/3, foreach/1, foreach/2, to_list/0, to_list/1, keys/0, keys/1]).
-export([select/1, select/2, range/2, range/3, prefix/1, prefix/2]).
-export([first/0, first/1, last/0, last/1, next/1, next/2, prev/1, prev/2]).
-export([watch/2, unwatch/1, watch_ack/2]).
-export([lock/1, lock/2, unlock/2, with_lock/2, with_lock/3]).
-export([outcome/1]).
-export([backup/1, restore/1]).
-export([leader/0, status/0]).
-export_type([reads/0, read_options/0, scan_options/0, page_options/0, entries/0, key_prefix/0,
              read_status/0, lease_absence/0]).
-export_type([rev/0, meta/0, expected/0, current/0, written/0, count/0, table_option/0]).
-export_type([ttl/0, left/0, owner/0, put_options/0]).
-export_type([watch/0, watched/0, watch_options/0, watch_event/0]).
-export_type([token/0, lock_options/0]).
-export_type([txn_condition/0, txn_operation/0, txn_result/0]).

-compile({no_auto_import, [get/1, put/2, nodes/0, size/1]}).

-type reads() :: lease | quorum | local.
%% Who may answer a read: see {@link fetch/2}.
-type read_options() :: #{reads => reads(), at_least => rev(), table => atom(),
                          timeout => timeout()}.
%% The options of reads: see {@link fetch/2}.
-type scan_options() :: #{reverse => boolean(), reads => reads(), at_least => rev(),
                          table => atom(), timeout => timeout()}.
%% The options of {@link fold/3}.
-type page_options() :: #{limit => pos_integer(), continuation => ram_scan:continuation(),
                          reverse => boolean(), keys_only => boolean(), reads => reads(),
                          at_least => rev(), table => atom(), timeout => timeout()}.
%% The options of {@link to_list/1}.
-type entries() :: [term()] | {[term()], ram_scan:continuation() | done}.
%% What {@link to_list/1} and {@link range/3} answer: entries `{Key, Value}', or keys with
%% `keys_only', or what a match specification makes of them; without `limit' a list.
-type key_prefix() :: list() | binary()
                    | {tuple, Size :: non_neg_integer(), FirstElements :: list()}.
%% What keys begin with: see {@link prefix/2}.
-type read_status() :: #{local := non_neg_integer(), waited := non_neg_integer(),
                         quorum := non_neg_integer(),
                         lease := held | {absent, lease_absence()}}.
%% How many reads were answered in which way since the member of this node started (in the call,
%% after a wait for a key that was being written, by a quorum), and whether it holds a read lease
%% now: see {@link status/0}.
-type lease_absence() ::
        not_asked | no_leader | no_answer | other_vote | snapshot | ran_out
      | {refused, not_leading | unconfirmed | lagging | changing | handing_over}.
%% Why a member holds no read lease. `not_asked': the setting `reads' is not `lease', or the member
%% has just started; `no_leader': none is known here; `no_answer': the leader did not answer in
%% time; `other_vote': another leader is, or may be, elected; `snapshot': this node was so far
%% behind that it was sent a snapshot; `ran_out': it was not renewed in time. Refused by the leader:
%% `not_leading': it leads no more; `unconfirmed': no majority has confirmed it lately; `lagging':
%% this node is behind, or was lately, and writes would wait for it; `changing': a member is added
%% or removed; `handing_over': the lead is handed over.

-type rev() :: pos_integer().
%% A revision: names a write. All changes of an atomic write have one, and later writes have larger
%% ones.
-type meta() :: #{rev := rev(), created_rev := rev(), version := pos_integer(),
                  ttl := left(), owner := owner() | none}.
%% What is known of a key beside its value: the revisions of its last write and of the one that
%% created it, its `version', which is 1 when it is created and grows by one with each write, what
%% is left of its time to live, see {@link ttl/1}, and its owner, see {@link put/3}.
-type ttl() :: pos_integer() | infinity.
%% For how long a key stays, in milliseconds, 10 years at most: see {@link touch/2}.
-type left() :: non_neg_integer() | infinity.
%% What is left of that: see {@link ttl/1}.
-type owner() :: pid() | node().
%% A process or a node of the cluster, with which a key goes: see {@link put/3}.
-type expected() :: absent | present | {rev, rev()} | {value, term()}.
%% What a key is expected to be by {@link put/3}, {@link cas/3} and {@link delete/2}.
-type current() :: {ok, Value :: term(), meta()} | error.
%% What a key holds; `error' when it is absent.
-type written() :: ok | {ok, rev()} | {ok, Old :: term()} | error | {conflict, current()}.
%% What {@link put/3} and {@link delete/2} answer.
-type count() :: integer() | {Increment :: integer(), Threshold :: integer(), SetTo :: integer()}.
%% See {@link update_counter/2}.
-type table_option() :: #{table => atom(), timeout => timeout()}.
%% Options of all calls on keys that have options: the table (`default' without it), and for how
%% many milliseconds an answer is waited for (the setting `call_timeout_ms' without it; `infinity'
%% is 49 days).
-type put_options() :: #{ttl => ttl(), owner => owner(), table => atom(), timeout => timeout()}.
%% The options of {@link put_new/3} and {@link cas/4}, which are those of {@link put/3}.
-type txn_condition() ::
        {Key :: term(), absent | present}
      | {Key :: term(), '=:=', Value :: term()}
      | {Key :: term(), rev, '=' | '<' | '>', non_neg_integer()}
      | {in, Table :: atom(), txn_condition()}.
%% Conditions of {@link txn/3}. One on the revision of a key that is absent does not hold.
-type txn_operation() ::
        {get, Key :: term()} | {put, Key :: term(), Value :: term()}
      | {put, Key :: term(), Value :: term(), #{ttl => ttl(), owner => owner()}}
      | {delete, Key :: term()} | {take, Key :: term()} | {update_counter, Key :: term(), count()}
      | {in, Table :: atom(), txn_operation()}.
%% Operations of {@link txn/3}.
-type txn_result() :: {ok, Value :: term()} | error | ok | integer().
%% What an operation of {@link txn/3} answers: `{ok, Value}' or `error' for get and take, `ok' for
%% put and delete, the new integer for update_counter.
-type watch() :: reference().
%% A watch: see {@link watch/2}.
-type watched() ::
        {key, Key :: term()} | {prefix, key_prefix()} | {range, From :: term(), To :: term()} | all.
%% What {@link watch/2} watches, of one table.
-type watch_options() :: #{from => rev(), initial => boolean(), old => boolean(), to => pid(),
                           events_max => pos_integer(), bytes_max => pos_integer(),
                           table => atom(), timeout => timeout()}.
%% The options of {@link watch/2}.
-type watch_event() ::
        {put, Key :: term(), Value :: term()}
      | {put, Key :: term(), Value :: term(), {ok, Old :: term()} | error}
      | {delete, Key :: term(), deleted | expired | owner_down | dropped}.
%% One change: see {@link watch/2}.
-type token() :: rev().
%% What {@link lock/1} returns, and the resource is shown: a later holder has a larger one.
-type lock_options() :: #{wait => non_neg_integer(), timeout => timeout()}.
%% The options of {@link lock/2} and {@link with_lock/3}.

%% @doc Starts the application `ram' and what it needs.
%%
%% A node whose data folder holds a cluster serves it again. Usually `ram' is in the `applications'
%% of your own and this call is not needed. Raises when the configuration is wrong, with a reason
%% that names the key.
%%
%% ```
%% 1> ram:start().
%% ok
%% '''
-spec start() -> ok.
start() ->
    case application:ensure_all_started(ram) of
        {ok, _Started} -> ok;
        {error, Reason} -> ram_error:failure(Reason, {start, []})
    end.

%% @doc Stops the application `ram' on this node; the data stays.
%%
%% A leader hands its lead over first.
%%
%% ```
%% 1> ram:stop().
%% ok
%% '''
-spec stop() -> ok | {error, Reason :: term()}.
stop() ->
    application:stop(ram).

%% @doc Finds the cluster of these nodes, or makes it, starting the application on them as needed.
%%
%% ```
%% 1> ram:start_cluster(['ram1@127.0.0.1', 'ram2@127.0.0.1', 'ram3@127.0.0.1']).
%% ok
%% '''
%%
%% An application may call it at every start, on every node, in any order:
%%
%% ```
%% start(_Type, _Arguments) ->
%%     {ok, Nodes} = application:get_env(my_app, nodes),
%%     case ram:start_cluster(Nodes) of
%%         ok -> my_sup:start_link();
%%         {error, {running_on, Serving, Reason}} ->
%%             %% Another member needs a hand.
%%             logger:warning("ram: ~tp", [Reason]),
%%             true = lists:member(node(), Serving),
%%             my_sup:start_link();
%%         {error, Reason} -> {error, Reason}
%%     end.
%% '''
%%
%% <ul>
%% <li>On a node that serves it answers `ok' when there is a majority and the members that can be
%%     reached have caught up (one that does not within half a minute is named by
%%     `{running_on, Serving, Reason}'): also when other members are down, and when the list is
%%     older than an add_node/1 or a remove_node/1. Nodes of the list that are no members are left
%%     as they are, and named in the log.</li>
%% <li>While no node of the list has a cluster, those that cannot be reached over Erlang
%%     distribution are waited for, and told of in the log: for 30 s, unless the option `wait_ms' of
%%     {@link start_cluster/2} says otherwise; then it is `{error, {unreachable, Nodes}}'. When all
%%     have come and none has a cluster it is made; it answers when every node serves.</li>
%% <li>When a member lost its data (storage `memory', or a disk that was wiped) it is made a member
%%     anew. One that was removed is not: `{error, {already_clustered, Nodes}}' names those that
%%     have the cluster, and add_node/1 on one of them takes it in. The same is the answer, and
%%     nothing is changed, when nodes of the list have different clusters.</li>
%% <li>Nodes that do not reach each other over ram's own connections are named within ten seconds,
%%     with the address and the cause: `{error, {not_reached, Node, Address, Cause}}'. Each node is
%%     as it was before the call then.</li>
%% <li>When the data folder of a node cannot be read it is not touched, and the answer says what to
%%     do: `{error, {failed, Node, Reason}}'. While the others serve it is
%%     `{error, {running_on, Others, Reason}}'. A node whose data came late, on a volume that was
%%     mounted meanwhile, serves them.</li>
%% </ul>
%% An empty list, or anything that is not a list of nodes, raises `badarg'.
-spec start_cluster([node()]) -> ok | {error, ram_error:cluster_error()}.
start_cluster(Nodes) ->
    start_listed(Nodes, #{}, {start_cluster, [Nodes]}).

%% @doc As {@link start_cluster/1}, with options.
%%
%% `storage': `disk' or `memory', for all of the nodes. Without it the setting of the first node
%% counts, which is `disk' unless it says otherwise. A node that is set to another storage is an
%% error: `{error, {storage_mismatch, Node, Set, Asked}}'.
%%
%% Neither changes a cluster that is there: asked for with the other storage it is the same error.
%%
%% `wait_ms': for how long, in milliseconds, nodes that cannot be reached, or a majority, are waited
%% for; 0 to be told at once, 30000 by default.
%%
%% When a majority lost its data there is no cluster any more: `{error, {majority_lost, Nodes}}'.
%%
%% ```
%% 1> ram:start_cluster(['ram1@127.0.0.1'], #{storage => memory, wait_ms => 0}).
%% ok
%% 2> ram:start_cluster(['ram1@127.0.0.1'], #{storage => disk}).
%% {error,{storage_mismatch,'ram1@127.0.0.1',memory,disk}}
%% '''
-spec start_cluster([node()], #{storage => disk | memory, wait_ms => non_neg_integer()}) ->
          ok | {error, ram_error:cluster_error()}.
start_cluster(Nodes, Options) ->
    Call = {start_cluster, [Nodes, Options]},
    Checks = #{storage => fun checked_storage/1, wait_ms => fun checked_wait_ms/1},
    start_listed(Nodes, ram_arguments:options(Options, Checks, Call), Call).

start_listed(Nodes, Options, Call) ->
    Listed = ram_arguments:nodes(Nodes, Call),
    of_call(Call, fun() ->
        ram_bootstrap:start(Listed, maps:merge(#{storage => any, wait_ms => 30000}, Options))
    end).

%% @doc Stops the members on these nodes and deletes their data.
%%
%% Deleted are ram's own files, under the lock of the folder, and nothing else.
%% `{error, {unreachable, Nodes}}' names the nodes that could not be asked, and
%% `{error, {not_erased, Node, Text}}' the file that could not be deleted. What could be deleted is,
%% and the rest is at the next start of the application there.
%%
%% ```
%% 1> ram:stop_cluster(ram:nodes()).
%% ok
%% '''
-spec stop_cluster([node()]) -> ok | {error, ram_error:cluster_error()}.
stop_cluster(Nodes) ->
    ram_cluster:stop(ram_arguments:nodes(Nodes, {stop_cluster, [Nodes]})).

%% @doc Makes a node a member of the cluster of this node.
%%
%% Returns when it is a full member that has caught up. For a member that was stopped it returns
%% when that member serves again. A node that lost its data comes back as a new member. Waits up to
%% ten minutes for the node to catch up.
%%
%% ```
%% 1> ram:add_node('ram4@127.0.0.1').
%% ok
%% 2> ram:nodes().
%% ['ram1@127.0.0.1','ram2@127.0.0.1','ram3@127.0.0.1','ram4@127.0.0.1']
%% '''
-spec add_node(node()) -> ok | {error, ram_error:cluster_error()}.
add_node(Node) when is_atom(Node) ->
    of_call({add_node, [Node]}, fun() -> ram_membership:add(Node) end);
add_node(Other) ->
    ram_arguments:not_a_node(Other, 1, {add_node, [Other]}).

%% @doc Takes a node out of the cluster and deletes its data there.
%%
%% `{error, {not_erased, Node, Text}}': it is a member no more, and the file that `Text' names could
%% not be deleted; the next start of the application there tries again.
%%
%% A node that is down is removed all the same; when it comes back its peers tell it, and when a
%% majority of those that it knew confirms that, it keeps its data aside and serves no more. The
%% leader may be removed, also by itself; the last member may not.
%%
%% ```
%% 1> ram:remove_node('ram3@127.0.0.1').
%% ok
%% 2> ram:remove_node('ram3@127.0.0.1').
%% {error,{not_member,'ram3@127.0.0.1'}}
%% '''
-spec remove_node(node()) -> ok | {error, ram_error:cluster_error()}.
remove_node(Node) when is_atom(Node) ->
    of_call({remove_node, [Node]}, fun() -> ram_membership:remove(Node) end);
remove_node(Other) ->
    ram_arguments:not_a_node(Other, 1, {remove_node, [Other]}).

%% @doc Takes `New' in and `Dead' out: add_node/1, then remove_node/1.
%%
%% When `New' could not be added nothing has changed. `{error, {not_member, Dead}}' when `Dead' is
%% no member.
%%
%% ```
%% 1> ram:replace_node('ram3@127.0.0.1', 'ram4@127.0.0.1').
%% ok
%% '''
-spec replace_node(Dead :: node(), New :: node()) -> ok | {error, ram_error:cluster_error()}.
replace_node(Dead, New) when is_atom(Dead), is_atom(New), Dead =/= New ->
    of_call({replace_node, [Dead, New]}, fun() -> ram_membership:replace(Dead, New) end);
replace_node(Node, Node) when is_atom(Node) ->
    ram_error:badarg({replace_node, [Node, Node]}, 2, "must be a node name, and not the first one");
replace_node(Dead, New) when is_atom(Dead) ->
    ram_arguments:not_a_node(New, 2, {replace_node, [Dead, New]});
replace_node(Dead, New) ->
    ram_arguments:not_a_node(Dead, 1, {replace_node, [Dead, New]}).

%% @doc The way out when a majority of the members is lost for good.
%%
%% Of the survivors the one whose log goes farthest keeps its data, as the first member of a new
%% cluster; the others lose theirs and join it afresh. Call it on any node that reaches them. The
%% option `confirm' is the id of the cluster as `ram:status()' tells it (`cluster'), so that it is
%% not done by accident; with another id nothing is changed.
%%
%% What may be lost: changes that were acknowledged while none of the survivors had them. What may
%% appear: changes whose callers were told `timeout'. Members that were not named must never come
%% back: they hold another cluster now, and are refused as strangers. The answer names the node
%% whose data was `kept', its `last_log_index', the id of the new `cluster', and the members that
%% were `given_up': what only they had is lost.
%%
%% ```
%% 1> #{cluster := Id} = ram:status(), is_binary(Id).
%% true
%% 2> ram:force_recover(#{survivors => ['ram1@127.0.0.1'], confirm => Id}).
%% {ok,#{kept => 'ram1@127.0.0.1', ...}}
%% 3> ram:nodes().
%% ['ram1@127.0.0.1']
%% '''
-spec force_recover(#{survivors := [node()], confirm := binary()}) ->
          {ok, #{kept := node(), last_log_index := non_neg_integer(), cluster := binary(),
                 given_up := [node()]}}
        | {error, ram_error:cluster_error()}.
force_recover(Options) ->
    Call = {force_recover, [Options]},
    Checks = #{survivors => fun(_CheckedBelow) -> ok end, confirm => fun checked_id/1},
    case ram_arguments:options(Options, Checks, Call) of
        #{survivors := Nodes, confirm := Cluster} ->
            Survivors = ram_arguments:nodes("the option survivors ", Nodes, Call),
            of_call(Call, fun() -> ram_cluster:recover(Survivors, Cluster) end);
        _Missing ->
            ram_error:badarg(Call, 1, "must be #{survivors => [Node], confirm => ClusterId}")
    end.

%% @doc The members of the cluster, as this node knows them, sorted.
%%
%% ```
%% 1> ram:nodes().
%% ['ram1@127.0.0.1','ram2@127.0.0.1','ram3@127.0.0.1']
%% '''
-spec nodes() -> [node()].
nodes() ->
    of_call({nodes, []}, fun ram_cluster:nodes/0).

%% @doc Starts the member of this node again after it failed or was stopped.
%%
%% `ok' when it is running already; `{error, noproc}' when this node holds no data of a cluster.
%%
%% ```
%% 1> ram:restart_server().
%% ok
%% '''
-spec restart_server() -> ok | {error, Reason :: term()}.
restart_server() ->
    case application:ensure_all_started(ram) of
        {ok, _Started} -> ram_node:restart();
        {error, Reason} -> ram_error:failure(Reason, {restart_server, []})
    end.

%% @doc The value of a key, or `undefined' when the key is absent.
%%
%% Linearizable: it shows what was acknowledged anywhere before the call, or raises. fetch/1 tells a
%% value that is `undefined' from a key that is absent.
%%
%% ```
%% 1> ram:put({user, 1}, #{name => "Ada"}).
%% ok
%% 2> ram:get({user, 1}).
%% #{name => "Ada"}
%% 3> ram:get({user, 2}).
%% undefined
%% '''
-spec get(Key :: term()) -> Value :: term() | undefined.
get(Key) ->
    ram_read:get(Key).

%% @doc The value of a key, or `Default' when the key is absent.
%%
%% ```
%% 1> ram:get(hits, 0).
%% 0
%% '''
-spec get(Key :: term(), Default) -> Value :: term() | Default.
get(Key, Default) ->
    ram_read:get(Key, Default).

%% @doc As get/2, with options: see fetch/2.
%%
%% ```
%% 1> ram:get(hits, 0, #{reads => local}).
%% 0
%% 2> ram:get(hits, 0, #{raeds => local}).
%% ** exception error: bad argument
%%      in function  ram:get/3
%%         called as ram:get(hits,0,#{raeds => local})
%%         *** argument 3: raeds is no option of this call; it knows at_least, reads, table, timeout
%% '''
-spec get(Key :: term(), Default, read_options()) -> Value :: term() | Default.
get(Key, Default, Options) ->
    ram_read:get(Key, Default, Options).

%% @doc The value of a key, or `error' when the key is absent.
%%
%% ```
%% 1> ram:put(key, undefined).
%% ok
%% 2> ram:fetch(key).
%% {ok,undefined}
%% 3> ram:fetch(another).
%% error
%% '''
-spec fetch(Key :: term()) -> {ok, Value :: term()} | error.
fetch(Key) ->
    ram_read:fetch(Key).

%% @doc As fetch/1, with options.
%%
%% `reads' says who may answer; without it, it is as the application environment says (`reads', by
%% default `lease').
%% <ul>
%% <li>`lease': linearizable: what was acknowledged anywhere before the call is seen. The asked node
%% answers in the call, at the price of an ETS lookup, as long as the leader's lease lets it; a key
%% that is being written is waited for; and without a lease it is as `quorum'. {@link status/0}
%% counts all three. It holds while the clock of each machine goes within 1 % of true time; a
%% virtual machine that was suspended unknown to its own clock may answer what is old once:
%% who fears that takes `quorum'. Nodes whose setting is not `lease' never have one.</li>
%% <li>`quorum': linearizable, whatever clocks do. It takes a round of messages with a majority,
%% which all reads share that wait at that time, and raises `timeout' without a majority.</li>
%% <li>`local': what the asked node has, at once, at the price of an ETS lookup and without a
%% majority too. It may be old: by moments, or by as long as this node is cut off. Of one key it
%% never goes back in time on one node, restarts of the node apart.</li>
%% </ul>
%% `at_least' is a revision, of a write that this or another process made: the read waits until this
%% node has applied it, also with `local'. `table' names another table than the default one,
%% `timeout' is for how long it waits, in milliseconds.
%%
%% ```
%% 1> ram:put(config, #{colour => blue}).
%% ok
%% 2> ram:fetch(config, #{reads => quorum}).
%% {ok,#{colour => blue}}
%% '''
-spec fetch(Key :: term(), read_options()) -> {ok, Value :: term()} | error.
fetch(Key, Options) ->
    ram_read:fetch(Key, Options).

%% @doc Sets the value of a key.
%%
%% When it returns, a majority of the members has the change on disk, and every later read on any
%% node shows it. The value may have `value_bytes_max' bytes (16 MiB by default), the key
%% `key_bytes_max' (64 KiB), encoded. When it raises, outcome/1 tells whether it may have happened.
%%
%% ```
%% 1> ram:put({user, 1}, #{name => "Ada"}).
%% ok
%% '''
-spec put(Key :: term(), Value :: term()) -> ok.
put(Key, Value) ->
    ram_write:put(Key, Value).

%% @doc As put/2, with options.
%%
%% `return' says what it answers:
%% <ul>
%% <li>`ok' (without it): `ok'</li>
%% <li>`rev': `{ok, Rev}', the revision of the write</li>
%% <li>`old': `{ok, Old}', the value it replaced, or `error' when there was none</li>
%% </ul>
%% `expect' makes it conditional: on a key that is `absent' or `present', on its revision being
%% `{rev, Rev}', or its value being (`=:=') `{value, Value}'. If it is not so, nothing is changed
%% and the answer is `{conflict, Current}', with what the key holds. Of all who expect the same, one
%% succeeds.
%%
%% `ttl' is for how long the key stays, in milliseconds (10 years at most): see {@link touch/2}. A
%% put without it, or with `infinity', makes the key stay.
%%
%% `owner' is a process or a node of the cluster, and the key goes with it: at once when the process
%% ends (or has ended) or its node is started again or removed from the cluster, and when the node
%% has not answered for `owner_timeout_ms'. Processes end with their node, and with `ram' on it. Who
%% lives and has lost a key so, since its node was cut off, is told when the node is back, by the
%% message `{ram_event, owner_lost, Key, Rev}': it is gone since this revision or an earlier one. A
%% node that was away for so long that it is given a snapshot does not know why a key is gone, and
%% tells also of one that was deleted meanwhile. A put without `owner' makes the key nobody's, and
%% tells nobody.
%%
%% `table' names another table than the default one; `timeout' is for how long it waits, in
%% milliseconds.
%%
%% ```
%% 1> ram:put(colour, blue, #{return => old}).
%% error
%% 2> {ok, Rev} = ram:put(colour, red, #{return => rev}).
%% {ok,...}
%% 3> ram:put(colour, green, #{expect => {rev, Rev}, return => old}).
%% {ok,red}
%% 4> ram:put(colour, white, #{expect => absent}).
%% {conflict,{ok,green,#{version => 3, ...}}}
%% 5> ram:put({here, self()}, chair_7, #{owner => self()}).
%% ok
%% '''
-spec put(Key :: term(), Value :: term(),
          #{return => ok | rev | old, expect => expected(), ttl => ttl(), owner => owner(),
            table => atom(), timeout => timeout()}) -> written().
put(Key, Value, Options) ->
    ram_write:put(Key, Value, Options, {put, [Key, Value, Options]}).

%% @doc Sets the value of a key that is absent; `false' when it is there, and nothing is changed.
%%
%% ```
%% 1> ram:put_new(chair, ada).
%% true
%% 2> ram:put_new(chair, bob).
%% false
%% '''
-spec put_new(Key :: term(), Value :: term()) -> boolean().
put_new(Key, Value) ->
    ram_write:put_new(Key, Value, #{}, {put_new, [Key, Value]}).

%% @doc As put_new/2, with the options {@type put_options()}.
%%
%% ```
%% 1> ram:put_new(chair, ada, #{ttl => 60000}).
%% true
%% '''
-spec put_new(Key :: term(), Value :: term(), put_options()) -> boolean().
put_new(Key, Value, Options) ->
    ram_write:put_new(Key, Value, Options, {put_new, [Key, Value, Options]}).

%% @doc Compare and set: sets a key that is as expected, and returns the revision of the write.
%%
%% As put/3 with `expect' and `return => rev'.
%%
%% ```
%% 1> {ok, Rev} = ram:cas(turn, absent, ada).
%% {ok,...}
%% 2> ram:cas(turn, {value, bob}, ada).
%% {conflict,{ok,ada,#{version => 1, ...}}}
%% 3> {ok, Next} = ram:cas(turn, {rev, Rev}, bob), Next > Rev.
%% true
%% '''
-spec cas(Key :: term(), expected(), Value :: term()) -> {ok, rev()} | {conflict, current()}.
cas(Key, Expected, Value) ->
    ram_write:cas(Key, Expected, Value, #{}, {cas, [Key, Expected, Value]}).

%% @doc As cas/3, with the options {@type put_options()}.
%%
%% ```
%% 1> ram:cas(turn, present, ada, #{timeout => infinity}).
%% {conflict,error}
%% '''
-spec cas(Key :: term(), expected(), Value :: term(), put_options()) ->
          {ok, rev()} | {conflict, current()}.
cas(Key, Expected, Value, Options) ->
    ram_write:cas(Key, Expected, Value, Options, {cas, [Key, Expected, Value, Options]}).

%% @doc Gives a key a time to live, from now on; `false' when it is absent.
%%
%% So many milliseconds later the key goes, for all at once, as if it was deleted: not before, and
%% about two seconds after that at most. It is the leader that ends it, by the clocks of a majority
%% of the members, so that one clock that is wrong changes nothing. A new leader gives every key its
%% full time again. With `infinity' the key stays.
%%
%% The time begins with each put that has the option `ttl', and with each touch. A put without it
%% ends it; {@link update/3}, {@link get_and_update/2} and {@link update_counter/2} leave it as it
%% is. A touch makes a revision, and no version.
%%
%% ```
%% 1> ram:put({session, 7}, ada, #{ttl => 60000}).
%% ok
%% 2> ram:touch({session, 7}, 90000).
%% true
%% 3> ram:touch({session, 8}, 90000).
%% false
%% '''
-spec touch(Key :: term(), ttl()) -> boolean().
touch(Key, Ttl) ->
    ram_write:touch(Key, Ttl, #{}, {touch, [Key, Ttl]}).

%% @doc As touch/2, with the options {@type table_option()}.
%%
%% ```
%% 1> ram:touch({session, 9}, infinity, #{timeout => 1000}).
%% false
%% '''
-spec touch(Key :: term(), ttl(), table_option()) -> boolean().
touch(Key, Ttl, Options) ->
    ram_write:touch(Key, Ttl, Options, {touch, [Key, Ttl, Options]}).

%% @doc What is left of the time to live of a key, in milliseconds; `error' when it is absent.
%%
%% As this node reckons, by its own clock: a moment after 0 the key is gone for all.
%%
%% ```
%% 1> ram:put(ticket, 7, #{ttl => 60000}).
%% ok
%% 2> {ok, Left} = ram:ttl(ticket), Left > 1000 andalso Left =< 60000.
%% true
%% 3> ram:put(ticket, 7).
%% ok
%% 4> ram:ttl(ticket).
%% {ok,infinity}
%% '''
-spec ttl(Key :: term()) -> {ok, left()} | error.
ttl(Key) ->
    ram_lookup:ttl(Key, []).

%% @doc As ttl/1, with the options of {@link fetch/2}.
%%
%% ```
%% 1> ram:ttl(no_ticket, #{reads => local}).
%% error
%% '''
-spec ttl(Key :: term(), read_options()) -> {ok, left()} | error.
ttl(Key, Options) ->
    ram_lookup:ttl(Key, [Options]).

%% @doc Sets a key to `Fun(Value)' atomically; an absent key to `Default', without calling `Fun'.
%%
%% `Fun' runs in the calling process, and again when another node changed the key meanwhile, so it
%% should have no side effects. It must not update the same key. What its last run raises is raised
%% here, and nothing is changed then.
%%
%% ```
%% 1> ram:update(visits, 1, fun(N) -> N + 1 end).
%% ok
%% 2> ram:update(visits, 1, fun(N) -> N + 1 end).
%% ok
%% 3> ram:get(visits).
%% 2
%% '''
-spec update(Key :: term(), Default :: term(), fun((Value :: term()) -> term())) -> ok.
update(Key, Default, Fun) ->
    ok = update(Key, Default, Fun, #{}, {update, [Key, Default, Fun]}).

%% @doc As update/3, with options.
%%
%% `return': `ok' (without it), `new' for `{ok, New}', the value that it set, or `rev' for
%% `{ok, Rev}', the revision of the write. Updates of one key that wait on one node are written
%% together, and then have one revision.
%%
%% `retries': how often `Fun' runs again; `infinity' without it. Beyond that it raises
%% `{conflict, Key}', and nothing is changed. `table' and `timeout' as in put/3.
%%
%% ```
%% 1> ram:update(visits, 1, fun(N) -> N + 1 end, #{return => new}).
%% {ok,1}
%% 2> ram:update(visits, 1, fun(N) -> N + 1 end, #{return => new, retries => 10}).
%% {ok,2}
%% '''
-spec update(Key :: term(), Default :: term(), fun((Value :: term()) -> term()),
             #{return => ok | new | rev, retries => infinity | non_neg_integer(),
               table => atom(), timeout => timeout()}) -> ok | {ok, New :: term()} | {ok, rev()}.
update(Key, Default, Fun, Options) ->
    update(Key, Default, Fun, Options, {update, [Key, Default, Fun, Options]}).

update(Key, Default, Fun, Options, Call) when is_function(Fun, 1) ->
    ram_write:update(Key, Default, Fun, Options, Call);
update(_Key, _Default, _Fun, _Options, Call) ->
    ram_error:badarg(Call, 3, "must be a fun of one argument").

%% @doc Changes a key as a fun says, atomically, and answers what it says.
%%
%% `Fun' gets `{ok, Value}', or `error' when the key is absent, and returns
%% <ul>
%% <li>`{put, New, Reply}' to set the key</li>
%% <li>`{delete, Reply}' to delete it</li>
%% <li>`{keep, Reply}' to change nothing</li>
%% </ul>
%% It runs in the calling process, and again when the key was changed meanwhile, so it should have
%% no side effects. It must not update the same key. What it raises is raised here, and nothing is
%% changed then.
%%
%% ```
%% 1> Pop = fun({ok, [First | Rest]}) -> {put, Rest, First};
%%             (_EmptyOrAbsent) -> {keep, none}
%%          end.
%% 2> ram:put(queue, [a, b]).
%% ok
%% 3> [ram:get_and_update(queue, Pop) || _ <- [1, 2, 3]].
%% [a,b,none]
%% '''
-spec get_and_update(Key :: term(),
                     fun(({ok, Value :: term()} | error) ->
                                {put, New :: term(), Reply} | {delete, Reply} | {keep, Reply})) ->
          Reply.
get_and_update(Key, Fun) ->
    get_and_update(Key, Fun, #{}, {get_and_update, [Key, Fun]}).

%% @doc As get_and_update/2, with options.
%%
%% `retries': how often `Fun' runs again; `infinity' without it. Beyond that it raises
%% `{conflict, Key}', and nothing is changed. `table' and `timeout' as in put/3.
%%
%% ```
%% 1> Toggle = fun(error) -> {put, on, was_off}; ({ok, on}) -> {delete, was_on} end.
%% 2> [ram:get_and_update(light, Toggle, #{retries => 5}) || _ <- [1, 2, 3]].
%% [was_off,was_on,was_off]
%% '''
-spec get_and_update(Key :: term(),
                     fun(({ok, Value :: term()} | error) ->
                                {put, New :: term(), Reply} | {delete, Reply} | {keep, Reply}),
                     #{retries => infinity | non_neg_integer(), table => atom(),
                       timeout => timeout()}) -> Reply.
get_and_update(Key, Fun, Options) ->
    get_and_update(Key, Fun, Options, {get_and_update, [Key, Fun, Options]}).

get_and_update(Key, Fun, Options, Call) when is_function(Fun, 1) ->
    ram_write:get_and_update(Key, Fun, Options, Call);
get_and_update(_Key, _Fun, _Options, Call) ->
    ram_error:badarg(Call, 2, "must be a fun of one argument").

%% @doc Adds to the integer that a key holds, and returns the sum; an absent key counts from 0.
%%
%% It is counted where the data is, so it never has to be tried again, and costs as much as a put.
%% With `{Increment, Threshold, SetTo}' it is set to `SetTo' when the sum is above the threshold, or
%% below it where the increment is negative, as by `ets:update_counter/3'. Another value than an
%% integer raises `{not_an_integer, Key}', and nothing is changed.
%%
%% ```
%% 1> ram:update_counter(hits, 1).
%% 1
%% 2> ram:update_counter(hits, 10).
%% 11
%% 3> ram:update_counter(hits, {5, 15, 0}).
%% 0
%% 4> ram:put(name, ada), ram:update_counter(name, 1).
%% ** exception error: {not_an_integer,name}
%% '''
-spec update_counter(Key :: term(), count()) -> integer().
update_counter(Key, Count) ->
    ram_write:update_counter(Key, Count, 0, #{}, {update_counter, [Key, Count]}).

%% @doc As update_counter/2; an absent key counts from `Default'.
%%
%% ```
%% 1> ram:update_counter(lives, -1, 3).
%% 2
%% '''
-spec update_counter(Key :: term(), count(), Default :: integer()) -> integer().
update_counter(Key, Count, Default) ->
    ram_write:update_counter(Key, Count, Default, #{}, {update_counter, [Key, Count, Default]}).

%% @doc As update_counter/3, with the options {@type table_option()}.
%%
%% ```
%% 1> ram:update_counter(lives, -1, 3, #{timeout => 1000}).
%% 2
%% '''
-spec update_counter(Key :: term(), count(), Default :: integer(), table_option()) -> integer().
update_counter(Key, Count, Default, Options) ->
    Call = {update_counter, [Key, Count, Default, Options]},
    ram_write:update_counter(Key, Count, Default, Options, Call).

%% @doc Deletes a key; one that is absent is no error.
%%
%% ```
%% 1> ram:delete({user, 1}).
%% ok
%% 2> ram:fetch({user, 1}).
%% error
%% '''
-spec delete(Key :: term()) -> ok.
delete(Key) ->
    ram_write:delete(Key).

%% @doc As delete/1, with the options of put/3.
%%
%% With `return' `rev' or `old' it answers `error' for a key that is absent.
%%
%% ```
%% 1> ram:put(colour, blue).
%% ok
%% 2> ram:delete(colour, #{expect => {value, red}}).
%% {conflict,{ok,blue,#{version => 1, ...}}}
%% 3> ram:delete(colour, #{return => old}).
%% {ok,blue}
%% 4> ram:delete(colour, #{return => old}).
%% error
%% '''
-spec delete(Key :: term(), #{return => ok | rev | old, expect => expected(), table => atom(),
                              timeout => timeout()}) -> written().
delete(Key, Options) ->
    ram_write:delete(Key, Options, {delete, [Key, Options]}).

%% @doc Deletes a key and returns the value that it had: of all who take it one gets it.
%%
%% ```
%% 1> ram:put(job, 7).
%% ok
%% 2> ram:take(job).
%% {ok,7}
%% 3> ram:take(job).
%% error
%% '''
-spec take(Key :: term()) -> {ok, Value :: term()} | error.
take(Key) ->
    ram_write:take(Key, #{}, {take, [Key]}).

%% @doc As take/1, with the options {@type table_option()}.
%%
%% ```
%% 1> ram:take(job, #{timeout => 1000}).
%% error
%% '''
-spec take(Key :: term(), table_option()) -> {ok, Value :: term()} | error.
take(Key, Options) ->
    ram_write:take(Key, Options, {take, [Key, Options]}).

%% @doc Does several things at once, all or nothing, where conditions decide which.
%%
%% If all conditions of `If' hold, the operations of `Then' are done, else those of `Else'. The
%% answer tells which (`true' for `Then'), with a result for each operation that was done, and the
%% revision of the write, or the present one when nothing was written. Later operations see what
%% earlier ones made. Nobody sees some of it done and the rest not yet.
%%
%% See {@type txn_condition()}, {@type txn_operation()} and {@type txn_result()}.
%% `{in, Table, What}' is a condition or an operation on another table.
%%
%% ```
%% 1> ram:put_many([{ada, 10}, {bob, 0}]).
%% ok
%% 2> Pay = fun(N) ->
%%              Has = ram:get(ada),
%%              ram:txn([{ada, '=:=', Has}],
%%                      [{put, ada, Has - N}, {update_counter, bob, N}],
%%                      [{get, ada}])
%%          end.
%% 3> Pay(7).
%% {true,[ok,7],...}
%% 4> ram:txn([{ada, present}, {eve, present}], [{delete, ada}], [{take, ada}, {get, bob}]).
%% {false,[{ok,3},{ok,7}],...}
%% '''
%%
%% Each list may have 4096 elements, of which a `take' counts twice. All that is sent may have as
%% many bytes as in put_many/1; the values that come back may have 64 MiB together, else it raises
%% `{results_too_large, BytesMax}'. What one operation raises (`{not_an_integer, Key}',
%% `{no_table, Name}') undoes all.
-spec txn(If :: [txn_condition()], Then :: [txn_operation()], Else :: [txn_operation()]) ->
          {boolean(), [txn_result()], rev()}.
txn(If, Then, Else) ->
    ram_txn:run(If, Then, Else, #{}, {txn, [If, Then, Else]}).

%% @doc As txn/3, with the options {@type table_option()}: `table' is the one of all conditions and
%% operations that name none.
%%
%% ```
%% 1> ram:txn([{door, absent}], [{put, door, open}, {get, door}], [], #{timeout => 1000}).
%% {true,[ok,{ok,open}],...}
%% '''
-spec txn(If :: [txn_condition()], Then :: [txn_operation()], Else :: [txn_operation()],
          table_option()) -> {boolean(), [txn_result()], rev()}.
txn(If, Then, Else, Options) ->
    ram_txn:run(If, Then, Else, Options, {txn, [If, Then, Else, Options]}).

%% @doc Sets several keys at once: all or none, and nobody sees some of them set and others not yet.
%%
%% All travel in one log entry, so this costs about as much as one put. Of a key that comes twice
%% the last value stays. All together they may have as many bytes as the largest key and value (the
%% settings `key_bytes_max' and `value_bytes_max'); a longer list raises
%% `{batch_too_large, BytesMax}' and nothing is changed.
%%
%% ```
%% 1> ram:put_many([{{user, 1}, ada}, {{user, 2}, bob}]).
%% ok
%% '''
-spec put_many([{Key :: term(), Value :: term()}]) -> ok.
put_many(Entries) ->
    ram_write:put_many(Entries, #{}, {put_many, [Entries]}).

%% @doc As put_many/1, with options.
%%
%% `return': `ok' (without it), or `rev' for `{ok, Rev}', the revision that all of them have, or the
%% present one when nothing was changed. `ttl', `table' and `timeout' as in put/3.
%%
%% ```
%% 1> {ok, Rev} = ram:put_many([{a, 1}, {b, 2}], #{return => rev}).
%% {ok,...}
%% 2> {true, [], Rev} = ram:txn([{a, rev, '=', Rev}, {b, rev, '=', Rev}], [], []).
%% {true,[],...}
%% '''
-spec put_many([{Key :: term(), Value :: term()}],
               #{return => ok | rev, ttl => ttl(), table => atom(), timeout => timeout()}) ->
          ok | {ok, rev()}.
put_many(Entries, Options) ->
    ram_write:put_many(Entries, Options, {put_many, [Entries, Options]}).

%% @doc Deletes several keys at once, as put_many/1 sets them; those that are absent are no error.
%%
%% ```
%% 1> ram:delete_many([{user, 1}, {user, 2}]).
%% ok
%% '''
-spec delete_many([Key :: term()]) -> ok.
delete_many(Keys) ->
    ram_write:delete_many(Keys, #{}, {delete_many, [Keys]}).

%% @doc As delete_many/1, with the options of put_many/2.
%%
%% ```
%% 1> {ok, Rev} = ram:put_many([{a, 1}, {b, 2}], #{return => rev}).
%% {ok,...}
%% 2> {ok, Later} = ram:delete_many([a, b, c], #{return => rev}), Later > Rev.
%% true
%% '''
-spec delete_many([Key :: term()],
                  #{return => ok | rev, table => atom(), timeout => timeout()}) ->
          ok | {ok, rev()}.
delete_many(Keys, Options) ->
    ram_write:delete_many(Keys, Options, {delete_many, [Keys, Options]}).

%% @doc Deletes the keys from one to another, both included, and returns how many there were.
%%
%% For tables of type `ordered_set'. All are deleted at once, or none. `$first' and `$last' stand
%% for the ends, `{key, Key}' for any key literally. Where `From' is behind `To' there is nothing.
%% The two are not the same end.
%%
%% ```
%% 1> ram:delete_range(1, 9).
%% ** exception error: bad argument
%%      in function  ram:delete_range/2
%%         called as ram:delete_range(1,9)
%%         *** the table default is a set and has no order; this needs an ordered_set
%% '''
-spec delete_range(From :: term(), To :: term()) -> non_neg_integer().
delete_range(From, To) ->
    ram_write:delete_range(From, To, #{}, {delete_range, [From, To]}).

%% @doc As delete_range/2, with the options {@type table_option()}.
%%
%% ```
%% 1> ram:create_table(days, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{N, free} || N <- lists:seq(1, 31)], #{table => days}).
%% ok
%% 3> ram:delete_range(1, 7, #{table => days}).
%% 7
%% 4> ram:delete_range('$first', '$last', #{table => days}).
%% 24
%% '''
-spec delete_range(From :: term(), To :: term(), table_option()) -> non_neg_integer().
delete_range(From, To, Options) ->
    ram_write:delete_range(From, To, Options, {delete_range, [From, To, Options]}).

%% @doc Makes a table, on all nodes: `{error, exists}' when there is one of that name.
%%
%% `type': `set' (without it), a hash table, or `ordered_set', which keeps keys in their order.
%% `timeout' as in put/3. When it has returned the table is there for every call on every node.
%% There may be 1024 tables with the default one; one more raises `{too_many_tables, TablesMax}'.
%%
%% ```
%% 1> ram:create_table(users, #{type => set}).
%% ok
%% 2> ram:create_table(users, #{type => ordered_set}).
%% {error,exists}
%% 3> ram:put(1, ada, #{table => users, return => old}).
%% error
%% 4> ram:put(1, bob, #{table => users, return => old}).
%% {ok,ada}
%% '''
-spec create_table(Name :: atom(), #{type => set | ordered_set, timeout => timeout()}) ->
          ok | {error, exists}.
create_table(Name, Options) ->
    ram_write:create_table(Name, Options, {create_table, [Name, Options]}).

%% @doc Deletes a table with all that is in it: `{error, no_table}' when there is none.
%%
%% The default table is never dropped: `badarg'. A call on a table that is gone raises
%% `{no_table, Name}'.
%%
%% ```
%% 1> ram:create_table(users, #{}).
%% ok
%% 2> ram:drop_table(users).
%% ok
%% 3> ram:drop_table(users).
%% {error,no_table}
%% 4> ram:put(1, ada, #{table => users}).
%% ** exception error: {no_table,users}
%% '''
-spec drop_table(Name :: atom()) -> ok | {error, no_table}.
drop_table(Name) ->
    ram_write:drop_table(Name, {drop_table, [Name]}).

%% @doc Has a process told of what changes: of one key; of the keys of an ordered table that begin
%% so (see {@link prefix/2}), or are in a range (see {@link range/3}); or of all keys of a table.
%%
%% Answers `{ok, Watch, Rev}': all changes after `Rev' are sent, whoever makes them, on whatever
%% node, as soon as this node applies them. The messages are:
%% <ul>
%% <li>`{ram_event, Watch, Rev, Events}': all that the write `Rev' changed of these keys, each key
%%     once. An event is `{put, Key, Value}' or `{delete, Key, Why}', where `Why' is `deleted',
%%     `expired', `owner_down', or `dropped', with its table.</li>
%% <li>`{ram_event, Watch, Rev, initial_done}': with `initial', all that was there has been
%%     sent.</li>
%% <li>`{ram_event, Watch, Rev, lost}': the watch has ended, and all up to `Rev' was sent (0: not
%%     even what was there). The receiver was too slow, this node was sent a snapshot, or its member
%%     has stopped.</li>
%% </ul>
%% They come in the order of the revisions, none twice, and none is left out without `lost'. A node
%% without a majority sends nothing, and never what is not committed.
%%
%% The receiver has credit for `events_max' events (1024), and gives it back with {@link
%% watch_ack/2} for each message; so its mailbox is bounded. What changes without credit waits, up
%% to `bytes_max' (16 MiB); beyond that the watch is lost. A write with more changes than credit is
%% left is sent whole. {@link ram_watcher} does all this for you.
%%
%% Options:
%% <ul>
%% <li>`initial => true': first what is there, as puts, in several messages, with the revision of
%%     that moment, then `initial_done', then what changes.</li>
%% <li>`from => Rev': the changes of this revision and later ones. Those of the past come from the
%%     history of this node, bounded by the setting `watch_history_bytes': where it begins later
%%     the answer is `{error, {compacted, OldestRev}}'. A future revision is waited for.</li>
%% <li>`old => true': puts are `{put, Key, Value, {ok, Old} | error}'.</li>
%% <li>`to => Pid': the receiver, of this node; else the caller. The watch ends with it.</li>
%% <li>`table', `timeout', `events_max', `bytes_max'.</li>
%% </ul>
%% What was there and what comes of the history is sent as there is credit, and does not count for
%% `bytes_max'. In place of a value that the OTP of this node cannot read stands `{unreadable_value,
%% Key}', of a key `{unreadable_key, Bytes}'.
%%
%% A value that its reader has to decode ({@link get/1} in the process of the caller: one with a map
%% of more than 32 keys or a local fun in it, or with more than 64 KiB that are not one binary) is
%% decoded for a watch on the thread `ram-core' of the member, which meanwhile does nothing else.
%%
%% ```
%% 1> {ok, Lamp, _} = ram:watch({key, lamp}, #{}).
%% {ok,...,...}
%% 2> ram:put(lamp, on), ram:delete(lamp).
%% ok
%% 3> {_, _, LampRev, _} = receive {ram_event, Lamp, _, _} = Lit -> Lit end.
%% {ram_event,...,...,[{put,lamp,on}]}
%% 4> ram:watch_ack(Lamp, LampRev).
%% ok
%% 5> receive {ram_event, Lamp, _, Off} -> Off end.
%% [{delete,lamp,deleted}]
%% 6> ram:unwatch(Lamp).
%% ok
%% '''
-spec watch(watched(), watch_options()) ->
          {ok, watch(), non_neg_integer()} | {error, {compacted, OldestRev :: rev()}}.
watch(What, Options) ->
    ram_watch:watch(What, Options).

%% @doc Ends a watch: nothing is sent any more, and what the calling process has not received of it
%% is dropped. Of an unknown one `ok', too.
%%
%% ```
%% 1> {ok, Doors, _} = ram:watch(all, #{}), ram:put(door, open), ram:unwatch(Doors).
%% ok
%% 2> receive {ram_event, Doors, _, _} -> told after 0 -> nothing end.
%% nothing
%% '''
-spec unwatch(watch()) -> ok.
unwatch(Watch) ->
    ram_watch:unwatch(Watch).

%% @doc Gives back the credit of a message with this revision, and of all before it; see
%% {@link watch/2}.
%%
%% ```
%% 1> {ok, Bulb, _} = ram:watch({key, bulb}, #{initial => true, events_max => 1}).
%% {ok,...,...}
%% 2> ram:put(bulb, on), ram:put(bulb, off).
%% ok
%% 3> receive {ram_event, Bulb, BulbRev, [{put, bulb, on}]} -> ram:watch_ack(Bulb, BulbRev) end.
%% ok
%% 4> receive {ram_event, Bulb, _, [{put, bulb, off}]} -> told end.
%% told
%% '''
-spec watch_ack(watch(), rev()) -> ok.
watch_ack(Watch, Rev) ->
    ram_watch:ack(Watch, Rev).

%% @doc Takes a lock, if nobody holds it; `{error, held}' when somebody does.
%%
%% The name is any term that may be a key. The lock is held by the calling process, until it is
%% unlocked, or the process ends, or its node is gone for `owner_timeout_ms' (15000 by default).
%% Then the next one has it. It is not reentrant: a second call of the same process finds it held,
%% too.
%%
%% <strong>A lock without a check of its token at the resource is not mutual exclusion.</strong> A
%% process that was frozen does not know that its time is over, and goes on for a moment when it
%% wakes. The token is a revision, and grows from holder to holder: send it along with whatever is
%% done to the resource, which is to refuse a token that is smaller than the largest one it has
%% seen. A resource in ram itself checks by writing on the condition that the token which it keeps
%% is no larger.
%%
%% A process that lost its lock without unlocking it is sent `{ram_event, owner_lost, {Name, _},
%% Rev}' when its node knows. Inside of a transaction it raises `badarg'.
%%
%% ```
%% 1> {ok, Token} = ram:lock({report, monday}).
%% {ok,...}
%% 2> ram:lock({report, monday}).
%% {error,held}
%% 3> ram:unlock({report, monday}, Token).
%% true
%% '''
-spec lock(Name :: term()) -> {ok, token()} | {error, held}.
lock(Name) ->
    ram_lock:lock(Name, #{}, {lock, [Name]}).

%% @doc As lock/1, with options.
%%
%% `wait': for how many milliseconds it is waited for (0 without it). Who waits gets it in the order
%% of the calls, without polling; `{error, timeout}' when the time is over. `timeout': for how long
%% an answer of the cluster is waited for, at each step; beyond that it raises
%% `{timeout, {ram, Node}}', and as soon as the cluster answers again the caller neither holds the
%% lock nor stands in the queue.
%%
%% ```
%% 1> {ok, First} = ram:lock(printer, #{wait => 5000}).
%% {ok,...}
%% 2> ram:lock(printer, #{wait => 10}).
%% {error,timeout}
%% 3> ram:unlock(printer, First).
%% true
%% 4> {ok, Second} = ram:lock(printer, #{wait => 5000}), Second > First.
%% true
%% '''
-spec lock(Name :: term(), lock_options()) -> {ok, token()} | {error, held | timeout}.
lock(Name, Options) ->
    ram_lock:lock(Name, Options, {lock, [Name, Options]}).

%% @doc Gives a lock back: `true', or `false' when it is not held with this token, and nothing is
%% changed.
%%
%% Whoever knows the token may do it.
%%
%% ```
%% 1> {ok, Token} = ram:lock(scanner).
%% {ok,...}
%% 2> ram:unlock(scanner, Token).
%% true
%% 3> ram:unlock(scanner, Token).
%% false
%% '''
-spec unlock(Name :: term(), token()) -> boolean().
unlock(Name, Token) ->
    ram_lock:unlock(Name, Token, {unlock, [Name, Token]}).

%% @doc Runs a fun while the calling process holds a lock, if nobody else does: `{ok, Result}', or
%% `{error, held}' without running it.
%%
%% The fun gets the token, which it shows the resource: see {@link lock/1}. What it raises is
%% raised, when the lock was given back. `{error, lost}': the fun has returned, and the lock was
%% lost before that: somebody else may have had it meanwhile. Where it cannot be given back, since
%% no majority answers, that is raised, and it is given back later.
%%
%% ```
%% 1> ram:with_lock(scanner, fun(Token) -> {scanned_with, Token} end).
%% {ok,{scanned_with,...}}
%% 2> ram:with_lock(scanner, fun(Token) -> ram:unlock(scanner, Token) end).
%% {error,lost}
%% '''
-spec with_lock(Name :: term(), fun((token()) -> Result)) -> {ok, Result} | {error, held | lost}.
with_lock(Name, Fun) ->
    ram_lock:with_lock(Name, Fun, #{}, {with_lock, [Name, Fun]}).

%% @doc As with_lock/2, with the options of {@link lock/2}.
%%
%% ```
%% 1> ram:with_lock(printer, fun(_) -> ram:lock(printer, #{wait => 10}) end, #{wait => 5000}).
%% {ok,{error,timeout}}
%% '''
-spec with_lock(Name :: term(), fun((token()) -> Result), lock_options()) ->
          {ok, Result} | {error, held | timeout | lost}.
with_lock(Name, Fun, Options) ->
    ram_lock:with_lock(Name, Fun, Options, {with_lock, [Name, Fun, Options]}).

%% @doc Whether a write that raised this reason may have happened.
%%
%% `not_applied': it did not happen and never will. `unknown': it may have happened, or may still
%% happen; to find out, read the key. For whatever is not a reason of this module it is `unknown'.
%%
%% ```
%% 1> ram:outcome({key_too_large, 65536}).
%% not_applied
%% 2> ram:outcome({timeout, {ram, node()}}).
%% unknown
%% '''
%%
%% So a write that is to happen in the end may be tried again like this:
%%
%% ```
%% try ram:put(Key, Value)
%% catch error:Reason -> case ram:outcome(Reason) of
%%                           not_applied -> retry_elsewhere;
%%                           unknown -> read_before_retry
%%                       end
%% end
%% '''
-spec outcome(ram_error:failure() | term()) -> not_applied | unknown.
outcome(Reason) ->
    ram_error:outcome(Reason).

%% @doc Writes all keys and values into a new file on this node, while reads and writes go on.
%%
%% The file holds the table as it was at one moment: all that was acknowledged anywhere before the
%% call, and of what was written during it the first part. Every byte is checksummed. It appears
%% under its name when it is whole and on disk; until then it is `File' with `.tmp' behind it.
%% `{error, {file, Text}}' when the file exists, its folder does not, or the disk failed; nothing is
%% left then, and nothing is ever overwritten. Only a node that is killed meanwhile leaves the file
%% with `.tmp', which has to be deleted before the next backup of that name. A snapshot of the log
%% waits for a backup, and a backup for a snapshot. There is no time limit to the whole; without a
%% majority it ends with `{timeout, {ram, Node}}' after six times `call_timeout_ms'.
%%
%% ```
%% 1> ram:backup("/backups/monday.ram").
%% ok
%% 2> ram:backup("/backups/monday.ram").
%% {error,{file,<<"/backups/monday.ram: the file exists">>}}
%% '''
-spec backup(file:name_all()) -> ok | {error, ram_error:cluster_error()}.
backup(File) ->
    Call = {backup, [File]},
    Path = ram_arguments:file(File, Call),
    of_call(Call, fun() -> ram_request:backup(Path) end).

%% @doc Puts all that a backup holds into this cluster, which must be empty.
%%
%% The file is one that this node can read. The whole of it is verified before the first put: if it
%% was cut, or a byte in it has changed, nothing is restored; `{error, {file, Text}}' tells where.
%% `{error, not_empty}' when the cluster holds any key. The default table keeps the type that the
%% cluster was made with (setting `default_table_type'), whatever that of the backup was. Nobody
%% should write until it returns: the entries are put one after the other, over what others write.
%%
%% `{error, {partly, Restored, Total, Reason}}' when the cluster or the file failed half-way: at
%% least `Restored' of the `Total' entries are there. Then stop_cluster/1, start_cluster/1 and
%% another restore/1 begin afresh. A file is as trusted as the code of a node: restore your own.
%%
%% ```
%% 1> Nodes = ram:nodes(), ram:backup("/backups/sunday.ram").
%% ok
%% 2> ram:stop_cluster(Nodes), ram:start_cluster(Nodes).
%% ok
%% 3> ram:restore("/backups/sunday.ram").
%% ok
%% '''
-spec restore(file:name_all()) -> ok | {error, ram_error:cluster_error()}.
restore(File) ->
    Call = {restore, [File]},
    Path = ram_arguments:file(File, Call),
    of_call(Call, fun() -> ram_request:restore(Path) end).

%% @doc The node that leads the cluster, as this node knows it; `undefined' while none is elected.
%%
%% ```
%% 1> lists:member(ram:leader(), ram:nodes()).
%% true
%% '''
-spec leader() -> node() | undefined.
leader() ->
    of_call({leader, []}, fun ram_cluster:leader/0).

%% @doc What this node knows of itself and its cluster.
%%
%% It never raises. Where a member runs the map has, among others:
%% <ul>
%% <li>`node', `leader', `term', `role': leader, candidate, follower or learner</li>
%% <li>`members': a map for each, with `node', `id', `address', `standing', and `heard_ms', how long
%% ago this node heard of it</li>
%% <li>`quorum': is a majority reached? If not, `quorum_lost_ms' says for how long it has not been,
%% and nobody leads</li>
%% <li>`peers': a map for each other member: `address', `connected', and `outage', with the cause,
%% when it is not reached</li>
%% <li>`last_log_index', `last_log_term', `applied_index', `snapshot_index'; `applied_groups': log
%% entries with writes, applied here since the start</li>
%% <li>`entries': keys in the table; `entry_bytes': bytes of keys and values; `waiting': requests
%% without an answer yet</li>
%% <li>`reads': a {@type read_status()}</li>
%% <li>`watches': their `count' on this node, `queued_bytes', what waits for credit, and
%% `history_bytes'</li>
%% <li>`log': `syncs', `bytes_written', `disk_bytes', `segments'; `net': frames, bytes, connections,
%% `refusals' by kind</li>
%% <li>`storage': disk or memory; `data_dir': an absolute path, or `undefined' for what is kept in
%% memory</li>
%% </ul>
%%
%% Where no member runs it has `node', `data_dir', `storage' as it is set (`any': as the cluster is
%% made), and either `role' down with the `failure' of the member, or `role' none with the `reason':
%% <ul>
%% <li>`not_started': the application does not run</li>
%% <li>`no_cluster': this node belongs to none</li>
%% <li>`unnamed': `-name undefined', the node gets its name with its first connection</li>
%% <li>`busy' with its data, ask again: `work' says with what (starting, stopping, erasing,
%% recovering or renaming)</li>
%% </ul>
%%
%% ```
%% 1> #{quorum := Quorum} = ram:status(), Quorum.
%% true
%% '''
-spec status() -> map().
status() ->
    ram_cluster:status().

%% A node without a member raises noproc, whichever module found that out.
of_call(Call, Do) ->
    try Do()
    catch error:noproc -> ram_error:failure(noproc, Call)
    end.

checked_storage(Storage) when Storage =:= disk; Storage =:= memory -> ok;
checked_storage(_) -> {error, "must be disk or memory"}.

checked_wait_ms(Ms) when is_integer(Ms), Ms >= 0, Ms =< 604800000 -> ok;
checked_wait_ms(_) -> {error, "must be an integer of 0 to 604800000"}.

checked_id(Cluster) when is_binary(Cluster) -> ok;
checked_id(_) -> {error, "must be the id of the cluster, a binary (cluster in ram:status())"}.

%% @doc The value of a key with its metadata, or `error' when the key is absent.
%%
%% The metadata are `rev', the revision of the write that set it; `created_rev', that of the write
%% which created the key; `version', how many writes of it there were since; `ttl' and `owner'.
%%
%% ```
%% 1> ram:put(lamp, on).
%% ok
%% 2> ram:lookup(lamp).
%% {ok,on,#{version => 1, ...}}
%% 3> ram:lookup(switch).
%% error
%% '''
-spec lookup(Key :: term()) -> {ok, Value :: term(), meta()} | error.
lookup(Key) ->
    ram_lookup:lookup(Key, []).

%% @doc As lookup/1, with the options of {@link fetch/2}.
%%
%% ```
%% 1> ram:put(lamp, off).
%% ok
%% 2> {ok, off, #{rev := Rev}} = ram:lookup(lamp, #{reads => quorum}).
%% {ok,off,...}
%% 3> {ok, off, _} = ram:lookup(lamp, #{reads => local, at_least => Rev}).
%% {ok,off,...}
%% '''
-spec lookup(Key :: term(), read_options()) -> {ok, Value :: term(), meta()} | error.
lookup(Key, Options) ->
    ram_lookup:lookup(Key, [Options]).

%% @doc Whether a key is there.
%%
%% ```
%% 1> ram:member(unicorn).
%% false
%% '''
-spec member(Key :: term()) -> boolean().
member(Key) ->
    ram_lookup:member(Key, []).

%% @doc As member/1, with the options of {@link fetch/2}.
%%
%% ```
%% 1> ram:member(unicorn, #{reads => local}).
%% false
%% '''
-spec member(Key :: term(), read_options()) -> boolean().
member(Key, Options) ->
    ram_lookup:member(Key, [Options]).

%% @doc The values of several keys at one revision; keys that are absent are left out.
%%
%% ```
%% 1> ram:put_many([{red, 1}, {green, 2}]).
%% ok
%% 2> ram:get_many([red, green, infrared]).
%% #{green => 2,red => 1}
%% '''
-spec get_many([Key :: term()]) -> #{Key :: term() => Value :: term()}.
get_many(Keys) ->
    ram_lookup:get_many(Keys, []).

%% @doc As get_many/1, with the options of {@link fetch/2}.
%%
%% ```
%% 1> ram:get_many([infrared], #{reads => quorum}).
%% #{}
%% '''
-spec get_many([Key :: term()], read_options()) -> #{Key :: term() => Value :: term()}.
get_many(Keys, Options) ->
    ram_lookup:get_many(Keys, [Options]).

%% @doc How many keys the default table has.
%%
%% ```
%% 1> ram:put(one, 1), ram:size() > 0.
%% true
%% '''
-spec size() -> non_neg_integer().
size() ->
    ram_lookup:size([]).

%% @doc As size/0, with the options of {@link fetch/2}.
%%
%% ```
%% 1> ram:create_table(drawer, #{type => set}).
%% ok
%% 2> ram:size(#{table => drawer}).
%% 0
%% '''
-spec size(read_options()) -> non_neg_integer().
size(Options) ->
    ram_lookup:size([Options]).

%% @doc What there is to know of a table: its type, how many keys it has, and the bytes of its keys
%% and values; `error' when there is none of this name.
%%
%% ```
%% 1> ram:create_table(shelf, #{type => ordered_set}).
%% ok
%% 2> ram:info(shelf).
%% #{bytes => 0,size => 0,type => ordered_set}
%% 3> ram:info(no_such_shelf).
%% error
%% '''
-spec info(Table :: atom()) ->
          #{type := set | ordered_set, size := non_neg_integer(), bytes := non_neg_integer()}
        | error.
info(Table) ->
    ram_lookup:info(Table).

%% @doc The names of all tables, sorted.
%%
%% ```
%% 1> lists:member(default, ram:tables()).
%% true
%% '''
-spec tables() -> [Table :: atom()].
tables() ->
    ram_lookup:tables().

%% @doc Runs a fun that reads and writes by {@link ram_tx}, as if it was alone.
%%
%% All that it reads is of one revision. What it writes becomes visible when it has returned, all
%% at once, if nothing that it read has changed meanwhile; else it runs again: so it should have no
%% effects but these. After 16 times more it is `{aborted, conflict}'. What the fun raises is
%% raised, and nothing is changed. Transactions are strictly serializable, with the ranges that they
%% read: what others insert there is a change, too. One that only reads writes nothing. The read of
%% a key costs a few microseconds, the end of one that wrote as much as a put. What must be decided
%% on data alone is cheaper with txn/3.
%%
%% The ranges that it reads may have 65536 entries together, if it writes too: more raises
%% `{ranges_too_large, EntriesMax}', and nothing is changed. A transaction inside of another raises
%% `badarg'.
%%
%% ```
%% 1> ram:put_many([{account, 1}, {savings, 100}]).
%% ok
%% 2> ram:transaction(fun(Tx) ->
%%        Savings = ram_tx:get(Tx, savings),
%%        ram_tx:put(Tx, savings, Savings - 10),
%%        ram_tx:put(Tx, account, ram_tx:get(Tx, account) + 10),
%%        Savings
%%    end).
%% {ok,100}
%% 3> ram:get_many([account, savings]).
%% #{account => 11,savings => 90}
%% '''
-spec transaction(fun((ram_tx:tx()) -> Result)) -> {ok, Result} | {aborted, Reason :: term()}.
transaction(Fun) ->
    ram_transaction:run(Fun, []).

%% @doc As transaction/1, with options: `retries', how often it runs again (16), and `timeout', in
%% milliseconds, for all runs together.
%%
%% ```
%% 1> ram:transaction(fun(Tx) -> ram_tx:abort(Tx, enough) end,
%%                    #{retries => 3, timeout => 1000}).
%% {aborted,enough}
%% '''
-spec transaction(fun((ram_tx:tx()) -> Result),
            #{retries => non_neg_integer(), timeout => timeout()}) ->
          {ok, Result} | {aborted, Reason :: term()}.
transaction(Fun, Options) ->
    ram_transaction:run(Fun, [Options]).

%% @doc Folds over all entries of the default table, as they are at one revision; see
%% {@link fold/3}.
%%
%% ```
%% 1> ram:put_many([{{price, apple}, 2}, {{price, pear}, 3}]).
%% ok
%% 2> ram:fold(fun({{price, _}, Price}, Sum) -> Sum + Price; (_, Sum) -> Sum end, 0).
%% 5
%% '''
-spec fold(fun(({Key :: term(), Value :: term()}, Acc) -> Acc), Acc) -> Acc.
fold(Fun, Acc) ->
    ram_scan:fold(Fun, Acc, {{fold, [Fun, Acc]}, []}).

%% @doc Folds over all entries of a table, as they are at one revision, while writes go on.
%%
%% Of an ordered table in the order of its keys, and with `reverse => true' from the last to the
%% first. The fun runs in the calling process, and may take its time, up to a minute for a thousand
%% entries. What changes meanwhile is kept for it, up to 256 MiB of a table: beyond that the oldest
%% scan ends, and raises `{expired, Rev}'. The other options are those of {@link fetch/2}.
%%
%% ```
%% 1> ram:create_table(ladder, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{1, a}, {2, b}], #{table => ladder}).
%% ok
%% 3> ram:fold(fun({_, V}, Acc) -> [V | Acc] end, [], #{table => ladder, reverse => true}).
%% [a,b]
%% '''
-spec fold(fun(({Key :: term(), Value :: term()}, Acc) -> Acc), Acc, scan_options()) -> Acc.
fold(Fun, Acc, Options) ->
    ram_scan:fold(Fun, Acc, {{fold, [Fun, Acc, Options]}, [Options]}).

%% @doc Calls a fun with each entry of the default table; see {@link fold/3}.
%%
%% ```
%% 1> ram:foreach(fun({_Key, _Value}) -> counted end).
%% ok
%% '''
-spec foreach(fun(({Key :: term(), Value :: term()}) -> term())) -> ok.
foreach(Fun) ->
    ram_scan:foreach(Fun, []).

%% @doc As foreach/1, with the options of {@link fold/3}.
%%
%% ```
%% 1> ram:foreach(fun({_Key, _Value}) -> counted end, #{reads => local}).
%% ok
%% '''
-spec foreach(fun(({Key :: term(), Value :: term()}) -> term()), scan_options()) -> ok.
foreach(Fun, Options) ->
    ram_scan:foreach(Fun, [Options]).

%% @doc All entries of the default table; see {@link to_list/1}.
%%
%% ```
%% 1> ram:put(bell, ding), lists:member({bell, ding}, ram:to_list()).
%% true
%% '''
-spec to_list() -> [{Key :: term(), Value :: term()}].
to_list() ->
    ram_scan:to_list([]).

%% @doc All entries of a table at one revision, in the order of the keys if it is ordered.
%%
%% With `limit => N' the answer is `{Entries, Continuation}', with so many entries, or
%% `{Entries, done}' with the last. The same call with `continuation => Continuation' goes on, at
%% the same revision, for a minute after the last one; then it raises `{expired, Rev}'. Other
%% options: `reverse', `keys_only', and those of {@link fetch/2}.
%%
%% ```
%% 1> ram:create_table(week, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{1, monday}, {2, tuesday}, {3, wednesday}], #{table => week}).
%% ok
%% 3> {_, Continuation} = ram:to_list(#{table => week, limit => 2}).
%% {[{1,monday},{2,tuesday}],...}
%% 4> ram:to_list(#{table => week, limit => 2, continuation => Continuation}).
%% {[{3,wednesday}],done}
%% '''
-spec to_list(page_options()) -> entries().
to_list(Options) ->
    ram_scan:to_list([Options]).

%% @doc All keys of the default table; see {@link to_list/1}.
%%
%% ```
%% 1> ram:put(bell, ding), lists:member(bell, ram:keys()).
%% true
%% '''
-spec keys() -> [Key :: term()].
keys() ->
    ram_scan:keys([]).

%% @doc As keys/0, with the options of {@link to_list/1}.
%%
%% ```
%% 1> ram:create_table(ring, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{b, 2}, {a, 1}], #{table => ring}).
%% ok
%% 3> ram:keys(#{table => ring, reverse => true}).
%% [b,a]
%% '''
-spec keys(page_options()) -> entries().
keys(Options) ->
    ram_scan:keys([Options]).

%% @doc What a match specification of ets makes of the entries of the default table, which are
%% `{Key, Value}'; see {@link select/2}.
%%
%% ```
%% 1> ram:put_many([{{pet, cat}, 4}, {{pet, bird}, 2}]).
%% ok
%% 2> ram:select([{{{pet, '$1'}, '$2'}, [{'>', '$2', 3}], ['$1']}]).
%% [cat]
%% '''
-spec select(ets:match_spec()) -> [term()].
select(Spec) ->
    ram_scan:select(Spec, []).

%% @doc As select/1, with the options of {@link to_list/1} but `keys_only': the specification
%% says what is returned.
%%
%% All guards and bodies that ets takes are there; ets:fun2ms/1 makes such a specification of a fun.
%% It runs in the calling process, over all entries of the table, as they are at one revision.
%%
%% ```
%% 1> ram:select([{{'_', '$1'}, [{'is_float', '$1'}], ['$1']}], #{limit => 10}).
%% {[],done}
%% '''
-spec select(ets:match_spec(), page_options()) -> entries().
select(Spec, Options) ->
    ram_scan:select(Spec, [Options]).

%% @doc As range/3, of the default table, which has to be ordered.
%%
%% ```
%% 1> try ram:range(1, 2) catch error:badarg -> no_order end.
%% no_order
%% '''
-spec range(From :: term(), To :: term()) -> [{Key :: term(), Value :: term()}].
range(From, To) ->
    ram_scan:range(From, To, []).

%% @doc The entries of an ordered table from a key to another, both included, at one revision.
%%
%% Keys have Erlang's order, but 1 and 1.0 are two keys, 1 first, also inside of other terms.
%% `$first' and `$last' stand for the ends of the table, `{key, K}' for any key literally. A range
%% that is upside down holds nothing. The options are those of {@link to_list/1}. On a set it raises
%% `badarg'.
%%
%% ```
%% 1> ram:create_table(scores, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{{10, ada}, 1}, {{20, bob}, 2}, {{30, eve}, 3}], #{table => scores}).
%% ok
%% 3> ram:range({15, '_'}, '$last',
%%              #{table => scores, limit => 1, keys_only => true, reverse => true}).
%% {[{30,eve}],...}
%% 4> ram:range({10, a}, {20, z}, #{table => scores}).
%% [{{10,ada},1},{{20,bob},2}]
%% '''
-spec range(From :: term(), To :: term(), page_options()) -> entries().
range(From, To, Options) ->
    ram_scan:range(From, To, [Options]).

%% @doc As prefix/2, of the default table, which has to be ordered.
%%
%% ```
%% 1> try ram:prefix("ab") catch error:badarg -> no_order end.
%% no_order
%% '''
-spec prefix(key_prefix()) -> [{Key :: term(), Value :: term()}].
prefix(Prefix) ->
    ram_scan:prefix(Prefix, []).

%% @doc The entries of an ordered table whose keys begin with a list or a binary; or, with
%% `{tuple, Size, FirstElements}', that are tuples of this size with these first elements.
%%
%% The options are those of {@link to_list/1}.
%%
%% ```
%% 1> ram:create_table(paths, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{<<"/a/1">>, 1}, {<<"/a/2">>, 2}, {<<"/b">>, 3}, {{a, 1}, 4}],
%%                 #{table => paths}).
%% ok
%% 3> ram:prefix(<<"/a/">>, #{table => paths}).
%% [{<<"/a/1">>,1},{<<"/a/2">>,2}]
%% 4> ram:prefix({tuple, 2, [a]}, #{table => paths}).
%% [{{a,1},4}]
%% '''
-spec prefix(key_prefix(), page_options()) -> entries().
prefix(Prefix, Options) ->
    ram_scan:prefix(Prefix, [Options]).

%% @doc As first/1, of the default table, which has to be ordered.
%%
%% ```
%% 1> try ram:first() catch error:badarg -> no_order end.
%% no_order
%% '''
-spec first() -> {ok, {Key :: term(), Value :: term()}} | error.
first() ->
    ram_scan:first([]).

%% @doc The first entry of an ordered table, or `error' when it is empty. The options are those of
%% {@link fetch/2}.
%%
%% ```
%% 1> ram:create_table(first_shelf, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{a, 1}, {b, 2}], #{table => first_shelf}).
%% ok
%% 3> ram:first(#{table => first_shelf}).
%% {ok,{a,1}}
%% '''
-spec first(read_options()) -> {ok, {Key :: term(), Value :: term()}} | error.
first(Options) ->
    ram_scan:first([Options]).

%% @doc As last/1, of the default table, which has to be ordered.
%%
%% ```
%% 1> try ram:last() catch error:badarg -> no_order end.
%% no_order
%% '''
-spec last() -> {ok, {Key :: term(), Value :: term()}} | error.
last() ->
    ram_scan:last([]).

%% @doc The last entry of an ordered table, or `error' when it is empty. The options are those of
%% {@link fetch/2}.
%%
%% ```
%% 1> ram:create_table(last_shelf, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{a, 1}, {b, 2}], #{table => last_shelf}).
%% ok
%% 3> ram:last(#{table => last_shelf}).
%% {ok,{b,2}}
%% '''
-spec last(read_options()) -> {ok, {Key :: term(), Value :: term()}} | error.
last(Options) ->
    ram_scan:last([Options]).

%% @doc As next/2, of the default table, which has to be ordered.
%%
%% ```
%% 1> try ram:next(a) catch error:badarg -> no_order end.
%% no_order
%% '''
-spec next(Key :: term()) -> {ok, {Key :: term(), Value :: term()}} | error.
next(Key) ->
    ram_scan:next(Key, []).

%% @doc The first entry behind a key of an ordered table, which need not be there, or `error'. The
%% options are those of {@link fetch/2}.
%%
%% ```
%% 1> ram:create_table(next_shelf, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{a, 1}, {b, 2}], #{table => next_shelf}).
%% ok
%% 3> ram:next(a, #{table => next_shelf}).
%% {ok,{b,2}}
%% '''
-spec next(Key :: term(), read_options()) -> {ok, {Key :: term(), Value :: term()}} | error.
next(Key, Options) ->
    ram_scan:next(Key, [Options]).

%% @doc As prev/2, of the default table, which has to be ordered.
%%
%% ```
%% 1> try ram:prev(a) catch error:badarg -> no_order end.
%% no_order
%% '''
-spec prev(Key :: term()) -> {ok, {Key :: term(), Value :: term()}} | error.
prev(Key) ->
    ram_scan:prev(Key, []).

%% @doc The last entry before a key of an ordered table, which need not be there, or `error'. The
%% options are those of {@link fetch/2}.
%%
%% ```
%% 1> ram:create_table(prev_shelf, #{type => ordered_set}).
%% ok
%% 2> ram:put_many([{a, 1}, {b, 2}], #{table => prev_shelf}).
%% ok
%% 3> ram:prev(b, #{table => prev_shelf}).
%% {ok,{a,1}}
%% '''
-spec prev(Key :: term(), read_options()) -> {ok, {Key :: term(), Value :: term()}} | error.
prev(Key, Options) ->
    ram_scan:prev(Key, [Options]).
